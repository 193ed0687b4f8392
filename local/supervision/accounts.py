"""Accounts and folders for programs that refuse to run as root, for a stack that root starts.

Other users cannot reach a clone in root's home. The files of such a program are then in a private folder under
/var/tmp, and a link in the stack's folder points to it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from local.supervision.service_spec import UnixAccount

UNPRIVILEGED = "nobody"
OUTSIDE = Path("/var/tmp")  # noqa: S108  (only folders made by mkdtemp: a random name, mode 0700)
CHECK_SECONDS = 10.0


def unprivileged() -> UnixAccount | None:
    """Return the account to run as instead of root; None when this process is not root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(UNPRIVILEGED)
    return UnixAccount(entry.pw_uid, entry.pw_gid)


def private_folder(link: Path, account: UnixAccount | None) -> Path:
    """Create a folder of mode 0700 that `account` owns and can reach: `link`, or a folder outside it points to."""
    if link.is_dir():
        return link.resolve()
    link.unlink(missing_ok=True)
    link.mkdir(mode=0o700, parents=True)
    if account is None:
        return link.resolve()
    os.chown(link, account.uid, account.gid)
    if reaches(account, link):
        return link.resolve()
    link.rmdir()
    outside = Path(tempfile.mkdtemp(prefix="homeprices-", dir=OUTSIDE))
    os.chown(outside, account.uid, account.gid)
    link.symlink_to(outside)
    return outside


def reachable_copy(source: Path, into: Path, account: UnixAccount | None) -> Path:
    """Return `source`, or its copy in the folder `into` when `account` cannot reach it."""
    if account is None or reaches(account, source):
        return source
    target = into / source.name
    if not target.exists():
        partial = into / f"{source.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial, symlinks=True)
        partial.rename(target)
    return target


def reaches(account: UnixAccount, path: Path) -> bool:
    """Whether a process of `account` can enter the folder `path`."""
    check = subprocess.run(
        ["test", "-x", str(path)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        timeout=CHECK_SECONDS,
        check=False,
    )
    return check.returncode == 0


def remove(path: Path) -> None:
    """Remove a folder, and the folders under /var/tmp that links in it point to."""
    for link in [path, *path.glob("*")]:
        if link.is_symlink() and link.resolve().parent == OUTSIDE.resolve():
            shutil.rmtree(link.resolve(), ignore_errors=True)
            link.unlink()
    shutil.rmtree(path, ignore_errors=True)
