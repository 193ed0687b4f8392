#!/bin/sh
# Build every image, one after the other, because the classic builder would install the same packages several times if
# Compose built several services at once. With BuildKit, `docker compose build` is equivalent.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- seaweedfs inference exporter router frontend mlflow airflow # in the order of the Dockerfile
revision=${HOMEPRICES_GIT_REVISION:-$(git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null || echo unknown)}
for target in "$@"; do
  docker build --quiet --target "$target" --tag "homeprices-$target:${IMAGE_TAG:-local}" \
    --build-arg "HOMEPRICES_GIT_REVISION=$revision" --label "org.opencontainers.image.revision=$revision" \
    ${PYTHON_IMAGE:+--build-arg "PYTHON_IMAGE=$PYTHON_IMAGE"} \
    ${SEAWEEDFS_IMAGE:+--build-arg "SEAWEEDFS_IMAGE=$SEAWEEDFS_IMAGE"} . >/dev/null
  echo "built homeprices-$target:${IMAGE_TAG:-local}"
done
