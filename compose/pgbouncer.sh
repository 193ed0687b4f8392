#!/bin/sh
# Entry point of PgBouncer: its configuration from the environment, in files that its user alone can read.
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
# A statement that waits longer for a connection than the services wait for an answer is in nobody's interest.
query_wait_timeout = 5
# What the services ask for as they connect, their role has as its own (compose/databases.sql).
ignore_startup_parameters = options
CONFIGURATION
exec pgbouncer /tmp/pgbouncer.ini
