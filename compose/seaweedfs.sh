#!/bin/sh
# SeaweedFS as one process. Its users are those of identities.json, with the bucket and the keys of the environment.
set -eu
umask 077
identities=${IDENTITIES:-/usr/local/lib/identities.json}
made=${TMPDIR:-/tmp}/identities.json
for name in $(grep -o '@[A-Z0-9_]*@' "$identities" | tr -d @ | sort -u); do
  eval "value=\${$name:?}"
  case $value in *[!A-Za-z0-9/+=_.~-]*) echo "seaweedfs.sh: $name has a character that no key has" >&2; exit 64 ;; esac
  # Into a file, because every user of the machine can read a command line.
  printf 's|@%s@|%s|g\n' "$name" "$value"
done >"$made.sed"
sed -f "$made.sed" "$identities" >"$made"
rm "$made.sed"
# Only the S3 port is reachable from outside the container, because master, volume and filer have no authentication.
exec weed server \
  -dir=/var/lib/seaweedfs -ip=127.0.0.1 -ip.bind=127.0.0.1 \
  -master.telemetry=false -master.electionTimeout=1s -master.volumeSizeLimitMB=256 \
  -volume.max=0 -volume.preStopSeconds=0 \
  -filer=true -filer.disableHttp=true \
  -s3=true -s3.ip.bind=0.0.0.0 -s3.port=8333 -s3.port.iceberg=0 -s3.port.lance=0 \
  -metricsIp=0.0.0.0 -metricsPort=9327 \
  -s3.config="$made" -s3.iam=false -s3.autoCreateBucket=false "$@"
