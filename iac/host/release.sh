#!/bin/bash
# homeprices-release REVISION: install a release from the bucket and start it. It reads the secrets every time, because
# the database's password is rotated. The previous release stays installed; run this with its revision to roll back.
set -euo pipefail
umask 077
revision=${1:?usage: homeprices-release REVISION}
case $revision in *[!0-9a-f]* | '') echo "homeprices-release: $revision is no revision" >&2; exit 2 ;; esac
# shellcheck source=/dev/null
. "${HOMEPRICES_ETC:-/etc/homeprices}/known"
export AWS_REGION
releases=${HOMEPRICES_RELEASES:-/data/releases}

folder=$releases/$revision
if [ ! -d "$folder" ]; then
  arriving=$(mktemp -d "$releases/arriving.XXXXXX")
  trap 'rm -rf "$arriving"' EXIT
  aws s3 cp --only-show-errors "s3://$BUCKET/deploy/$revision.tar.gz" - | tar -xz -C "$arriving"
  mv "$arriving" "$folder"
fi
cd "$folder"
if [ -f docker-compose-plugin ]; then
  install -D -m 0755 docker-compose-plugin "${DOCKER_PLUGINS:-/usr/local/lib/docker/cli-plugins}/docker-compose"
fi

secret() { aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text; }
{
  cat "${HOMEPRICES_ETC:-/etc/homeprices}/compose.env"
  printf "IMAGE_TAG='%s'\n" "$revision"
  address=$(hostname -I | cut -d ' ' -f 1)
  printf "BIND_ADDRESS='%s'\n" "$address"
  # Only where the load balancer asks for a login.
  if grep -q '^MLFLOW_BEHIND_LOGIN=' "${HOMEPRICES_ETC:-/etc/homeprices}/compose.env"; then
    printf "MLFLOW_BIND_ADDRESS='%s'\n" "$address"
  fi
  # No generated secret has a quote or a space, and Compose expands nothing in single quotes.
  secret "$SECRET_APPLICATION" | python3 -c 'import json, sys
for name, value in json.load(sys.stdin).items(): print(f"{name}={chr(39)}{value}{chr(39)}")'
  secret "$SECRET_DATABASE" | python3 -c 'import json, sys
held = json.load(sys.stdin)["password"]
print(f"POSTGRES_SUPERUSER_PASSWORD={chr(39)}{held}{chr(39)}")'
} >.env.arriving
mv .env.arriving .env
ln -sfn ../.env monitoring/.env

aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY" >/dev/null
while read -r image digest; do
  docker pull --quiet "$REGISTRY/$REPOSITORIES/$image@$digest" >/dev/null
  docker tag "$REGISTRY/$REPOSITORIES/$image@$digest" "homeprices-$image:$revision"
done <images.txt

compose() { docker compose --env-file .env "$@"; }
compose -f docker-compose.yaml -f docker-compose.ab.yml -f iac/host/docker-compose.aws.yml up -d --no-build --wait
compose -f monitoring/docker-compose.monitoring.yml -f iac/host/docker-compose.monitoring.aws.yml up -d --no-build
ln -sfn "$revision" "$releases/current"
echo "release $revision runs"
