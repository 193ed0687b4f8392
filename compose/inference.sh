#!/bin/sh
# Entry point of the serving containers: gives each replica a name of its own, under which it keeps its state in the
# volume that it shares with the others. The name is the container's (homeprices-infer-prod-2), which Docker's name
# server knows, because that one is the same after the container is created anew; the host name, which is all that
# /etc/hosts knows, is not.
set -eu
if [ -z "${HOMEPRICES_INSTANCE:-}" ]; then
  name=$(getent -s dns hosts "$(hostname -i | cut -d ' ' -f 1)" | awk 'NR == 1 { sub(/\..*/, "", $2); print $2 }')
  HOMEPRICES_INSTANCE=${name:-$(hostname)}
  export HOMEPRICES_INSTANCE
fi
exec "$@"
