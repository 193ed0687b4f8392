"""The router's JSON log as values, and a reader that follows it through rotations."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from homeprices.names import PREDICT_PATH

REPLAY_BYTES = 2**20  # how far back a reader that starts anew looks: what the breaker needs of the last minute
ROTATE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class AccessLogEntry:
    """One line of the log. `at` in seconds since 1970, `seconds` from request to answer, `upstream_seconds` the
    services' part of it (all that were asked)."""

    at: float
    path: str
    status: int
    assigned: str
    served: str
    fallback: bool
    epoch: int | None
    seconds: float
    upstream_seconds: float

    @property
    def is_prediction(self) -> bool:
        return self.path == PREDICT_PATH


def parse(lines: Iterable[str]) -> Iterator[AccessLogEntry | None]:
    """An Answer for each line; None for one that is not a line of this log (cut off by a full disk, say)."""
    for line in lines:
        try:
            said = json.loads(line)
            yield AccessLogEntry(
                at=float(said["time"]),
                path=str(said["path"]),
                status=int(said["status"]),
                assigned=str(said["assigned"]),
                served=str(said["served"]),
                fallback=said["fallback"] == "1",
                epoch=None if said["epoch"] is None else int(said["epoch"]),
                seconds=float(said["seconds"]),
                upstream_seconds=_total(said["upstream_seconds"]),
            )
        except (ValueError, KeyError, TypeError):
            yield None


@dataclass(frozen=True)
class LogOffset:
    """How far a log was read: which file, and how many bytes of it, in whole lines."""

    device: int
    inode: int
    offset: int


class LogFollower:
    """Reads what is added to a log, line by line; a rotated file is read to its end before the next one.

    Begins at the `mark` of an earlier reader, also in a file that was set aside meanwhile; without one (or when both
    files are others by now) `replay_bytes` before the end.
    """

    def __init__(self, path: Path, replay_bytes: int = REPLAY_BYTES, mark: LogOffset | None = None) -> None:
        self._path = path
        self._replay_bytes = replay_bytes if mark is None else sys.maxsize
        self._begin = self._mark = mark
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._leaving = False

    def read(self) -> list[str]:
        """The whole lines that came since the last call; of a long log, the first call gives only the end."""
        if self._file is None:
            self._file = self._open()
        if self._file is None:
            self._replay_bytes = sys.maxsize  # a log that begins only now is read from its beginning
            return []
        if os.fstat(self._file.fileno()).st_size < self._file.tell():  # somebody emptied it
            self._file.seek(0)
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        self._mark = _mark(self._file, len(self._rest))
        self._follow_rotation(self._file)
        return [line.decode("utf-8", "replace") for line in lines]

    @property
    def mark(self) -> LogOffset | None:
        """Where the lines that were given out so far end."""
        return self._mark

    def rotate(self, reopen: Callable[[], None], limit_bytes: int = ROTATE_BYTES) -> bool:
        """Set a log aside that has grown over the limit, keeping one old file; `reopen` tells Nginx."""
        try:
            if self._path.stat().st_size <= limit_bytes:
                return False
        except OSError:
            return False
        self._path.replace(self._set_aside)
        reopen()
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def _set_aside(self) -> Path:
        return self._path.with_name(self._path.name + ".1")

    def _open(self) -> IO[bytes] | None:
        begin, self._begin = self._begin, None
        if begin is not None and (marked := self._open_marked(begin)) is not None:
            return marked
        try:
            file = self._path.open("rb")
        except OSError:
            return None
        size = os.fstat(file.fileno()).st_size
        if size > self._replay_bytes:
            file.seek(size - self._replay_bytes)
            file.readline()  # the line that the cut went through
        return file

    def _open_marked(self, mark: LogOffset) -> IO[bytes] | None:
        """The file of the mark, at the mark; None when it is neither the log nor the one before it."""
        for path in (self._path, self._set_aside):
            try:
                file = path.open("rb")
            except OSError:
                continue
            held = os.fstat(file.fileno())
            if (held.st_dev, held.st_ino) == (mark.device, mark.inode):
                file.seek(mark.offset if mark.offset <= held.st_size else 0)  # else somebody has emptied it
                return file
            file.close()
        return None

    def _follow_rotation(self, file: IO[bytes]) -> None:
        """Leave a replaced file one call later: its writers go on with it until they have heard of the rotation."""
        try:
            there, held = self._path.stat(), os.fstat(file.fileno())
        except OSError:
            return
        if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino):
            return
        if self._leaving:
            self.close()
            self._rest, self._replay_bytes = b"", sys.maxsize
        self._leaving = not self._leaving


def _mark(file: IO[bytes], unread: int) -> LogOffset:
    held = os.fstat(file.fileno())
    return LogOffset(held.st_dev, held.st_ino, file.tell() - unread)


def _total(said: str) -> float:
    """The sum of Nginx's list of times, "0.004, 0.012 : 0.003"; "-" is a server that was never reached."""
    words = said.replace(":", " ").replace(",", " ").split()
    return sum(float(word) for word in words if word != "-")
