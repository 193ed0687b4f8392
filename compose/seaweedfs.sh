#!/bin/sh
# SeaweedFS as one process with one identity: the access key of the environment.
set -eu
: "${AWS_ACCESS_KEY_ID:?}" "${AWS_SECRET_ACCESS_KEY:?}"
umask 077
identities=/tmp/identities.json
printf '{"identities":[{"name":"homeprices","credentials":[{"accessKey":"%s","secretKey":"%s"}],"actions":["Admin","Read","Write","List","Tagging"]}]}\n' \
  "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >"$identities"
# Only the S3 port is reachable from outside the container, because master, volume and filer have no authentication.
exec weed server \
  -dir=/var/lib/seaweedfs -ip=127.0.0.1 -ip.bind=127.0.0.1 \
  -master.telemetry=false -master.electionTimeout=1s -master.volumeSizeLimitMB=256 \
  -volume.max=0 -volume.preStopSeconds=0 \
  -filer=true -filer.disableHttp=true \
  -s3=true -s3.ip.bind=0.0.0.0 -s3.port=8333 -s3.port.iceberg=0 -s3.port.lance=0 \
  -metricsIp=0.0.0.0 -metricsPort=9327 \
  -s3.config="$identities" -s3.iam=false -s3.autoCreateBucket=false "$@"
