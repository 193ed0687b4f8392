#!/bin/sh
# revision.sh FOLDER: print the commit that a clone's .git FOLDER has checked out, without git; `unknown` if there is
# none. HOMEPRICES_GIT_REVISION takes precedence, because only git itself can detect changed files.
set -eu
if [ -n "${HOMEPRICES_GIT_REVISION:-}" ]; then
  echo "$HOMEPRICES_GIT_REVISION"
  exit
fi
cd "$1"
[ -f HEAD ] || { echo unknown; exit; }
read -r head <HEAD
case $head in
  "ref: "*)
    branch=${head#ref: }
    if [ -f "$branch" ]; then cat "$branch"; else
      cat packed-refs 2>/dev/null |
        awk -v branch="$branch" '$2 == branch { print $1; found = 1 } END { if (!found) print "unknown" }'
    fi
    ;;
  *) echo "$head" ;;
esac
