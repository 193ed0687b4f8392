"""The files of a spool. A record is one line, `crc32 kind json`; a file lock shows whether the writer is alive.

A writer locks a segment before the file gets its final name, and holds the lock until the file is deleted or the
process dies. So a process that can lock a segment has found an orphan, and may adopt it.
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
# A file without its final name after this time belongs to a dead process, and is empty.
_ABANDONED_SECONDS = 60.0
_CONTENT_AT, _KIND_AT, _BODY_AT = 8, 9, 11  # after eight hex digits: a space, the kind, a space, the body

Write = Callable[[int, bytes], int]


class Record(NamedTuple):
    """A record that was read back complete."""

    kind: str
    body: bytes


def encode(kind: Kind, body: bytes) -> bytes:
    """Return the line of a record. `body` is one JSON object without line breaks."""
    content = b" %b %b" % (kind.encode(), body)
    return b"%08x%b\n" % (zlib.crc32(content), content)


def decode(line: bytes) -> Record | None:
    """Return the record of a line; None for a torn record, which was never acknowledged."""
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
        """Append whole lines. Raises OSError; then call `undo`, or append nothing more."""
        written = write(self.descriptor, data)
        if written != len(data):  # a partial write
            raise OSError(f"{written} of {len(data)} bytes were written to {self.path.name}")
        self.size += written
        self.records += records

    def undo(self) -> None:
        """Truncate the rest of a failed `append`. Raises OSError."""
        os.ftruncate(self.descriptor, self.size)

    def sync(self) -> None:
        """Wait until the data is on the disk. Raises OSError."""
        os.fdatasync(self.descriptor)

    def lines(self) -> Iterator[bytes]:
        """Yield every line, whole or torn."""
        with self.path.open("rb") as file:
            yield from file

    def remove(self) -> None:
        """Delete the file and then release its lock, in this order, so that no process can adopt it."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)


def create(folder: Path, *, durable: bool) -> Segment:
    """Create a locked segment. `durable`: wait until its directory entry is on the disk. Raises OSError."""
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
    """Lock and return the segments in `folder` whose process is dead."""
    _clear_abandoned(folder)
    candidates = (path for path in sorted(folder.glob(f"*{SUFFIX}")) if path not in own)
    return [segment for path in candidates if (segment := _adopted(path))]


def total_bytes(folder: Path) -> int:
    """Return the size of all segments in `folder`, of all processes."""
    return sum(_size(path) for path in folder.glob(f"*{SUFFIX}"))


def any_from_before(folder: Path, moment: float) -> bool:
    """Return whether a segment with records in `folder`, of any process, is older than a Unix time."""
    return any(_created(path) < moment and _size(path) for path in folder.glob(f"*{SUFFIX}"))


def _adopted(path: Path) -> Segment | None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if not _lock(descriptor) or os.fstat(descriptor).st_nlink == 0:  # writer alive, or just drained by another
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
    """Return the time in a segment's name; for a foreign name, the modification time."""
    digits = path.name.split("-")[0]
    if digits.isdecimal():
        return int(digits) / 1e9
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # just drained
        return time.time()


def _clear_abandoned(folder: Path) -> None:
    for path in folder.glob(f"*{_BEING_CREATED}"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()
        except FileNotFoundError:  # renamed meanwhile, or another process was first
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
