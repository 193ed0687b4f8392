"""Segments: the files of a spool. A record is a line, `crc32 kind json`; a file's lock tells whether its writer lives.

A writer locks a segment before the file has its final name, and holds the lock until the file is deleted or the process
dies. So whoever can lock a segment has found one without a writer, and may adopt it.
"""

from __future__ import annotations

import fcntl
import os
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["p", "f"]
"""`p`: a prediction, `f`: feedback."""

SUFFIX = ".segment"
_BEING_CREATED = ".new"
# A file that is still being created after this lost its process between `open` and `rename`, and holds nothing.
_ABANDONED_SECONDS = 60.0
_CONTENT_AT, _KIND_AT, _BODY_AT = 8, 9, 11  # after eight hex digits: a space, the kind, a space, the body

Write = Callable[[int, bytes], int]


class Record(NamedTuple):
    """One line that was read back whole."""

    kind: str
    body: bytes


def encode(kind: Kind, body: bytes) -> bytes:
    """The line of a record. `body` is one JSON object without line breaks."""
    content = b" %b %b" % (kind.encode(), body)
    return b"%08x%b\n" % (zlib.crc32(content), content)


def decode(line: bytes) -> Record | None:
    """The record of a line; None for a torn one, which nobody was ever told is safe."""
    content = line[_CONTENT_AT:-1]
    if not line.endswith(b"\n") or line[:_CONTENT_AT] != b"%08x" % zlib.crc32(content):
        return None
    return Record(chr(line[_KIND_AT]), line[_BODY_AT:-1])


@dataclass(eq=False)
class Segment:
    """An open and locked file of records. `size` in bytes; `created` is a Unix time in seconds."""

    path: Path
    descriptor: int
    created: float
    size: int = 0
    records: int = 0

    def append(self, data: bytes, records: int, write: Write = os.write) -> None:
        """Write whole lines at the end. Raises OSError; then `undo` it, or write nothing more behind it."""
        written = write(self.descriptor, data)
        if written != len(data):  # the disk took a part of it
            raise OSError(f"{written} of {len(data)} bytes were written to {self.path.name}")
        self.size += written
        self.records += records

    def undo(self) -> None:
        """Cut off what a failed `append` left. Raises OSError."""
        os.ftruncate(self.descriptor, self.size)

    def sync(self) -> None:
        """Wait until the disk has it. Raises OSError."""
        os.fdatasync(self.descriptor)

    def lines(self) -> Iterator[bytes]:
        """Every line, whole or torn."""
        with self.path.open("rb") as file:
            yield from file

    def remove(self) -> None:
        """Delete the file, then let go of its lock, in this order: nobody can adopt what is gone."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)


def create(folder: Path, *, durable: bool) -> Segment:
    """A new segment, locked. `durable` waits until the disk has its name as well. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.time_ns():020d}-{os.getpid()}{SUFFIX}"
    temporary = path.with_suffix(_BEING_CREATED)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.rename(path)
        if durable:
            _sync_folder(folder)
    except OSError:
        os.close(descriptor)
        raise
    return Segment(path, descriptor, created=time.time())


def orphans(folder: Path, own: set[Path]) -> list[Segment]:
    """The segments in `folder` whose process is gone, now locked by this one."""
    _clear_abandoned(folder)
    found = (_adopted(path) for path in sorted(folder.glob(f"*{SUFFIX}")) if path not in own)
    return [segment for segment in found if segment]


def total_bytes(folder: Path) -> int:
    """The size of all segments in `folder`, whoever writes them."""
    return sum(_size(path) for path in folder.glob(f"*{SUFFIX}"))


def any_from_before(folder: Path, moment: float) -> bool:
    """Whether a segment with records in `folder`, whoever writes it, is older than a Unix time."""
    return any(_created(path) < moment and _size(path) for path in folder.glob(f"*{SUFFIX}"))


def _adopted(path: Path) -> Segment | None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if not _lock(descriptor) or os.fstat(descriptor).st_nlink == 0:  # alive, or drained by another a moment ago
        os.close(descriptor)
        return None
    with path.open("rb") as file:
        records = sum(1 for _ in file)
    return Segment(path, descriptor, _created(path), size=_size(path), records=records)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _created(path: Path) -> float:
    """The time in a segment's name; for a foreign name, that of the file."""
    digits = path.name.split("-")[0]
    if digits.isdecimal():
        return int(digits) / 1e9
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # drained a moment ago
        return time.time()


def _clear_abandoned(folder: Path) -> None:
    for path in folder.glob(f"*{_BEING_CREATED}"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()
        except FileNotFoundError:  # it has its name by now, or another process was first
            continue


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
