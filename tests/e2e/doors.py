"""What a running stack listens on, what it writes, and what of it other users could read."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from local.supervision import processes

T = TypeVar("T")
STRANGER = 65534
KEPT_OUTSIDE = (
    Path.home() / ".cache",  # of libraries, which the user has with or without a stack
    Path("/dev"),
)
MODES_OF_THEIR_OWN = {".vif"}
"""Files of SeaweedFS whose mode it sets itself. Their folder is closed."""

PRIVATE_TO_THE_SERVER = ("filer.sock", "s3.sock")  # relative to SeaweedFS's own folder


def listening(folder: Path) -> set[tuple[str, int]]:
    """Return the addresses and ports on which processes of the stack in `folder` listen."""
    found = _of_each_process(folder, lambda process: process.net_connections("tcp"))
    return {(one.laddr.ip, one.laddr.port) for one in found if one.status == psutil.CONN_LISTEN}


def unix_sockets_outside(folder: Path) -> list[str]:
    """Return the paths of Unix sockets of the stack that are not in its folder."""
    found = _of_each_process(folder, lambda process: process.net_connections("unix"))
    paths = {str(one.laddr) for one in found} - {"", *PRIVATE_TO_THE_SERVER}
    return sorted(path for path in paths if not Path(path).is_relative_to(folder))


def files_written_outside(folder: Path) -> list[str]:
    """Return the files outside its folder that the stack has open for writing."""
    homes = [folder, *(link.resolve() for link in folder.iterdir() if link.is_symlink()), *KEPT_OUTSIDE]
    written = {file.path for file in _of_each_process(folder, lambda process: process.open_files()) if file.mode != "r"}
    return sorted(path for path in written if not any(Path(path).is_relative_to(home) for home in homes))


def open_to_others(folder: Path) -> list[str]:
    """Return everything in a stack's folder, with its mode, of which group or others have a right."""
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if mode & 0o077 and not stat.S_ISLNK(mode) and path.suffix not in MODES_OF_THEIR_OWN:
                found.append(f"{stat.filemode(mode)} {path.relative_to(folder)}")
    return found


def read_by_a_stranger(folder: Path) -> list[str]:
    """Return what a user that owns nothing lists and reads of a stack's folder."""
    other = {"user": STRANGER, "group": STRANGER, "extra_groups": []} if os.geteuid() == 0 else {}
    if not other:
        return []
    asked = subprocess.run(  # type: ignore[call-overload]
        ["find", str(folder), str(folder / "secrets.json"), "-maxdepth", "1", "-readable"],
        capture_output=True, text=True, cwd="/", timeout=30, check=False, **other,
    )  # fmt: skip
    return list(asked.stdout.split())


def _of_each_process(folder: Path, read: Callable[[psutil.Process], list[T]]) -> list[T]:
    """Return what `read` gives of the stack's processes, without those that end meanwhile."""
    found: list[T] = []
    for process in processes.marked((folder / "id").read_text(), folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += read(process)
    return found
