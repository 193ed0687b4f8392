#!/bin/sh
# SeaweedFS as one process. Its users are those of identities.json, with the bucket and the keys of the environment.
# Master, volume, filer and all gRPC want the certificate that is made here at each start, whose key stays in this container.
set -eu
umask 077
identities=${IDENTITIES:-/usr/local/lib/identities.json}
settings=${SECURITY:-/usr/local/lib/security.toml}
home=${TMPDIR:-/tmp}
made=$home/identities.json
for name in $(grep -o '@[A-Z0-9_]*@' "$identities" | tr -d @ | sort -u); do
  eval "value=\${$name:?}"
  case $value in *[!A-Za-z0-9/+=_.~-]*) echo "seaweedfs.sh: $name has a character that no key has" >&2; exit 64 ;; esac
  # Into a file, because every user of the machine can read a command line.
  printf 's|@%s@|%s|g\n' "$name" "$value"
done >"$made.sed"
sed -f "$made.sed" "$identities" >"$made"
rm "$made.sed"

cd "$home" # of security.toml, and of the files that it names
cp "$settings" security.toml
cat >tls.cnf <<'CERTIFICATE'
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = seaweedfs
[extensions]
basicConstraints = critical, CA:TRUE
subjectAltName = IP:127.0.0.1
CERTIFICATE
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 \
  -config tls.cnf -keyout tls.key -out tls.pem 2>tls.log || { cat tls.log >&2; exit 70; }

# Beyond loopback: the S3 API, its gRPC (SeaweedFS binds both to one address, so mutual TLS closes it), and metrics.
exec weed server \
  -dir=/var/lib/seaweedfs -ip=127.0.0.1 -ip.bind=127.0.0.1 \
  -master.telemetry=false -master.electionTimeout=1s -master.volumeSizeLimitMB=256 \
  -volume.max=0 -volume.preStopSeconds=0 \
  -disableHttp=true -filer=true -filer.disableHttp=true \
  -s3=true -s3.ip.bind=0.0.0.0 -s3.port=8333 -s3.port.iceberg=0 -s3.port.lance=0 \
  -metricsIp=0.0.0.0 -metricsPort=9327 \
  -s3.config="$made" -s3.iam=false -s3.autoCreateBucket=false "$@"
