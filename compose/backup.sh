#!/bin/sh
# backup.sh [FOLDER]: back up the three databases and the bucket into a new folder (backups/TIME), without downtime.
#
# The databases come first, so that the later archive of the bucket has every object that they refer to.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-backups/$(date -u +%Y%m%dT%H%M%SZ)}
[ ! -e "$folder" ] || { echo "backup: $folder exists already" >&2; exit 1; }
umask 077
draft=$folder.partial
rm -rf "$draft"
mkdir -p "$draft"

compose() { docker compose -f docker-compose.yaml -f docker-compose.ab.yml "$@"; }

for database in airflow mlflow homeprices; do
  compose exec -T postgres sh -c 'PGPASSWORD=$POSTGRES_PASSWORD exec pg_dump -h 127.0.0.1 -U postgres -Fc "$1"' pg_dump "$database" \
    >"$draft/$database.dump"
done
compose run --rm -T --no-deps bucket python -m compose.bucket save >"$draft/bucket.tar"
(cd "$draft" && sha256sum -- *.dump bucket.tar >SHA256SUMS)
mv "$draft" "$folder"
echo "backup: $folder"
