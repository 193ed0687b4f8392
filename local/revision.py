"""Which state of the code a stack runs, for the bundles that it trains."""

from __future__ import annotations

import subprocess
from pathlib import Path

LOOK_SECONDS = 10.0


def git_revision(root: Path) -> str:
    """The commit of a clone, with `-dirty` when files differ from it; `unknown` without git or outside of a clone."""
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=LOOK_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
