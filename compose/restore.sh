#!/bin/sh
# restore.sh FOLDER: restore the three databases and the bucket from a backup, and start everything again. Data written
# after the backup is lost. Works on a running stack, and on one whose volumes were removed.
set -eu
cd "$(dirname "$0")/.."
folder=${1:?restore: name the folder of a backup, as in: make restore BACKUP=backups/20260101T000000Z}
(cd "$folder" && sha256sum --quiet --check SHA256SUMS)

compose() { docker compose -f docker-compose.yaml -f docker-compose.ab.yml "$@"; }
sql() { compose exec -T postgres sh -c 'PGPASSWORD=$POSTGRES_PASSWORD exec psql -qAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -U postgres "$@"' psql "$@"; }

# Stop every service that writes: a scheduler on a half-restored database does harm.
compose stop frontend router infer-prod infer-cand flower airflow-worker \
  airflow-scheduler airflow-dag-processor airflow-triggerer airflow-apiserver mlflow
compose up -d --wait postgres seaweedfs
for database in airflow mlflow homeprices; do
  sql -d postgres -c "drop database if exists $database with (force)"
done
compose run --rm -T --no-deps databases
for database in airflow mlflow homeprices; do
  compose exec -T postgres sh -c 'PGPASSWORD=$POSTGRES_PASSWORD exec pg_restore -h 127.0.0.1 -U postgres --no-owner --no-privileges \
    --role="$1" --exit-on-error --single-transaction -d "$1"' pg_restore "$database" <"$folder/$database.dump"
done
# Skip the prediction ids that were issued after the backup: visitors have them, and so do the services' spools.
sql -d homeprices -c "select setval('prediction_id', (select last_value from prediction_id) + 1000000)" >/dev/null
compose run --rm -T --no-deps bucket python -m compose.bucket create
compose run --rm -T --no-deps bucket python -m compose.bucket load <"$folder/bucket.tar"
# Remove local copies from the replaced bucket, because a version number may now refer to another bundle.
for service in infer-prod infer-cand; do
  compose run --rm -T --no-deps "$service" sh -c 'rm -rf /var/lib/homeprices/*/bundles'
done
compose run --rm -T --no-deps router rm -f /var/lib/homeprices/router/control.json
compose up -d
echo "restore: $folder is in place"
