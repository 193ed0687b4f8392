#!/bin/sh
# Entry point of the serving containers: sets the replica's name, under which it keeps its state in the shared volume.
# The name is that of the container (homeprices-infer-prod-2), which Docker's DNS resolves, because it stays the same
# when the container is recreated. The host name in /etc/hosts changes.
set -eu
if [ -z "${HOMEPRICES_INSTANCE:-}" ]; then
  name=$(getent -s dns hosts "$(hostname -i | cut -d ' ' -f 1)" | awk 'NR == 1 { sub(/\..*/, "", $2); print $2 }')
  HOMEPRICES_INSTANCE=${name:-$(hostname)}
  export HOMEPRICES_INSTANCE
fi
exec "$@"
