#!/bin/sh
# pack.sh IMAGES: print a tar archive of the files that the host needs for a revision: the compose files, the files they
# mount, the digests of the images, and Compose itself, which the host's system does not include.
set -eu
images=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$images" "$folder/images.txt"
plugin=${DOCKER_COMPOSE_PLUGIN:-}
[ -z "$plugin" ] || cp "$plugin" "$folder/docker-compose-plugin"
tar -cf "$folder.tar" docker-compose.yaml docker-compose.ab.yml compose monitoring iac/host
tar -rf "$folder.tar" -C "$folder" .
gzip -n <"$folder.tar"
rm -f "$folder.tar"
