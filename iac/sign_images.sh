#!/bin/sh
# sign_images.sh OUTPUTS IMAGES PLATFORM SIGNER: scan the pushed images, then sign each and attest its SBOM. IMAGES has
# the lines of push_images.sh; SIGNER is the workflow that signs, with the token GitHub issues for this run (OIDC), so
# there is no key. A vulnerability that SECURITY.md does not accept stops this before any image is signed.
set -eu
outputs=$1 images=$2 platform=$3 signer=$4
mkdir -p build/sbom
"${PYTHON:-.venv/bin/python}" -m audit.exceptions >build/trivyignore

address() { jq -r --arg name "$1" '.images[$name]' "$outputs"; }

while read -r name digest <&3; do
  trivy image --quiet --platform "$platform" --scanners vuln --severity HIGH,CRITICAL --ignore-unfixed \
    --ignorefile build/trivyignore --exit-code 1 "$(address "$name")@$digest" >&2
  trivy image --quiet --platform "$platform" --format cyclonedx --output "build/sbom/$name.cdx.json" \
    "$(address "$name")@$digest"
done 3<"$images"

while read -r name digest <&3; do
  image=$(address "$name")@$digest
  cosign sign --yes "$image"
  cosign attest --yes --type cyclonedx --predicate "build/sbom/$name.cdx.json" "$image"
  cosign verify --certificate-identity "$signer" \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com "$image" >/dev/null
  echo "signed $name $digest"
done 3<"$images"
