#!/bin/sh
# install.sh NAME ...: install the project's dependencies and each NAME into the image's environment. A NAME is a
# dependency group of pyproject.toml or, without such a group, a package. Versions and hashes are those of
# requirements.lock; a package that is not in it is rejected.
set -eu
cd /build
: >packages.txt
groups=
for name in "$@"; do
  if grep -q "^$name = \[" pyproject.toml; then
    groups="$groups --group $name"
  else
    # The package's entry: its first line, and the hashes under it.
    awk -v name="$name" '/^[a-z0-9]/ { wanted = index($0, name "==") == 1 } wanted' requirements.lock >>packages.txt
    grep -q "^$name==" packages.txt || { echo "install.sh: $name is neither a group nor in the lock" >&2; exit 1; }
  fi
done
# shellcheck disable=SC2086  # each word is an option
uv pip install --no-build --require-hashes --constraints requirements.lock \
  --requirements pyproject.toml --requirements packages.txt $groups
