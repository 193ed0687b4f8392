#!/bin/sh
# push_images.sh OUTPUTS REVISION PLATFORM: build the image of every repository of the stack, push it with the revision as
# its tag and its SLSA provenance, and print a line `name digest` for each. The digest is that of the index, which covers
# the provenance too. An image that was already pushed is not rebuilt, because tags in ECR are immutable.
set -eu
outputs=$1 revision=$2 platform=$3
region=$(jq -r .region "$outputs")
registry=$(jq -r '.images[] | split("/")[0]' "$outputs" | head -1)
aws ecr get-login-password --region "$region" | docker login --username AWS --password-stdin "$registry" >&2

digest_of() {
  aws ecr describe-images --region "$region" --repository-name "$1" --image-ids "imageTag=$revision" \
    --query 'imageDetails[0].imageDigest' --output text 2>/dev/null
}

jq -r '.images | to_entries[] | "\(.key) \(.value)"' "$outputs" | while read -r name url; do
  repository=${url#*/}
  if ! digest=$(digest_of "$repository"); then
    docker buildx build --platform "$platform" --target "$name" --provenance mode=max --push --tag "$url:$revision" \
      --build-arg "HOMEPRICES_GIT_REVISION=$revision" --label "org.opencontainers.image.revision=$revision" . >&2
    digest=$(digest_of "$repository")
  fi
  echo "$name $digest"
done
