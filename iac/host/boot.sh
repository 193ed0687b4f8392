#!/bin/bash
# First start of the host. All data is on the data volume, which outlives this instance, so an existing file system on it
# stays. The script is idempotent.
set -euo pipefail
exec > >(tee -a /var/log/homeprices-boot.log) 2>&1

dnf install -y -q docker python3 awscli-2

for _ in $(seq 150); do [ -b {{device}} ] && break; sleep 2; done
[ -b {{device}} ] || { echo "the data volume did not arrive within five minutes" >&2; exit 1; }
blkid {{device}} >/dev/null || mkfs.xfs -q {{device}}
mkdir -p /data
grep -q ' /data ' /etc/fstab ||
  echo "UUID=$(blkid -s UUID -o value {{device}}) /data xfs defaults,nofail 0 2" >>/etc/fstab
mountpoint -q /data || mount /data

# Images, containers and volumes on the data volume.
mkdir -p /etc/docker /data/docker /data/releases
echo '{"data-root": "/data/docker", "live-restore": true}' >/etc/docker/daemon.json
systemctl enable --now docker

install -d -m 0700 /etc/homeprices
cat >/etc/homeprices/known <<'KNOWN'
{{known}}
KNOWN
cat >/etc/homeprices/compose.env <<'ENVIRONMENT'
{{environment}}
ENVIRONMENT
cat >/usr/local/bin/homeprices-release <<'RELEASE'
{{release}}
RELEASE
chmod 0755 /usr/local/bin/homeprices-release

# An instance that replaces another starts the release that the other ran.
if [ -L /data/releases/current ]; then
  homeprices-release "$(basename "$(readlink /data/releases/current)")"
fi
