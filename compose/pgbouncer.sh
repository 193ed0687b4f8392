#!/bin/sh
# Entry point of PgBouncer: writes its configuration from the environment into files that only its user can read.
set -eu
umask 077
printf '"homeprices" "%s"\n' "${POSTGRES_PASSWORD:?}" >/tmp/users.txt
cat >/tmp/pgbouncer.ini <<CONFIGURATION
[databases]
homeprices = host=postgres port=5432
[pgbouncer]
listen_addr = 0.0.0.0
listen_port = 6432
unix_socket_dir =
auth_type = scram-sha-256
auth_file = /tmp/users.txt
pool_mode = transaction
max_client_conn = 1000
default_pool_size = ${PGBOUNCER_SERVER_CONNECTIONS:-8}
# As long as the services' own statement timeout: after it, no service waits for the result.
query_wait_timeout = 5
# PgBouncer drops connection options, so they are set on the services' role (compose/databases.sql).
ignore_startup_parameters = options
CONFIGURATION
exec pgbouncer /tmp/pgbouncer.ini
