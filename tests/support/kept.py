"""Folders that take long to make, kept between runs by the digest of the code and the values that they come from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "homeprices" / "tests"
CODE = ("homeprices/**/*.py", "homeprices/**/*.jinja", "requirements.lock")
UNUSED_DAYS = 7


def kept(key: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of this key and of the code of today, which `make` fills when there is none.

    Processes that ask at a time get the same one, so nobody writes to it. What raises keeps nothing.
    """
    folder = PLACE / digest_of_code() / key
    if not folder.parent.exists():
        _remove_unused()
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.utime(folder.parent)
    with (folder.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
                made = Path(temporary) / "made"
                made.mkdir()
                make(made)
                made.rename(folder)
    return folder


@cache
def digest_of_code() -> str:
    """Return the digest of the library, of the versions it runs with, and of the kind of machine."""
    found = hashlib.sha256(f"{platform.python_version()} {platform.machine()}".encode())
    for path in sorted({path for pattern in CODE for path in ROOT.glob(pattern)}):
        found.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:32]


def _remove_unused() -> None:
    """Remove what comes from code that no run has had for a week."""
    for folder in PLACE.glob("*"):
        if folder.stat().st_mtime < time.time() - UNUSED_DAYS * 86_400:
            shutil.rmtree(folder, ignore_errors=True)
