"""Parse the router's JSON access log, and follow it through rotations."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Literal

from homeprices.names import PREDICT_PATH

REPLAY_BYTES = 2**20  # read again after a start: the breaker needs the last minute
ROTATE_BYTES = 64 * 2**20
FALLBACK_SEPARATOR = " : "
PROBE_PATH = "/router/version"  # of the supervisor, containers and load balancers, every few seconds
OPERATIONS = frozenset(
    {"/metrics", "/api/metrics", "/api/logs", "/api/logs/tail", "/api/drift_report", "/api/status", "/operations"}
)

KeyOutcome = Literal["allowed", "refused", "limited"]


@dataclass(frozen=True)
class AccessLogEntry:
    """One line of the log. `at` is in seconds since 1970, `seconds` from request to response.

    `upstream_seconds` is the services' part of it: the sum over all that were tried. `upstream_status` is Nginx's list
    of their statuses, in which " : " separates the fallback; it is empty if Nginx answered without asking a service.
    `key` is the id of the API key whose quota was used.
    """

    at: float
    method: str
    path: str
    status: int
    assigned: str
    served: str
    fallback: bool
    epoch: int | None
    seconds: float
    upstream_seconds: float
    upstream_status: str
    bound: str = ""
    rate: str = ""
    key: str = ""

    @property
    def reached_bound(self) -> bool:
        """Whether it was refused because too many requests of its address, or of all, are in flight."""
        return self.bound == "REJECTED"

    @property
    def is_prediction(self) -> bool:
        """Whether a service was asked for a prediction.

        The second condition excludes responses of Nginx itself, such as 501 for an unknown Transfer-Encoding. Otherwise
        any client could cause failures. A service that is down was asked: its status is 502 then.
        """
        return self.method == "POST" and self.path == PREDICT_PATH and bool(self.upstream_status)

    @property
    def key_outcome(self) -> KeyOutcome:
        """What became of a request with an API key."""
        if "REJECTED" in (self.rate, self.bound):
            return "limited"
        return "refused" if self.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) else "allowed"

    @property
    def is_operation(self) -> bool:
        """Whether logs, metrics, drift or the operations page were asked for."""
        return self.path in OPERATIONS or self.path.startswith("/operations/")

    @property
    def is_visit(self) -> bool:
        """Whether a visitor may have asked: neither a health check nor an operator, whose page refreshes itself."""
        return not (self.is_operation or self.path == PROBE_PATH)

    @property
    def fell_back(self) -> bool:
        """Whether production answered because the candidate was asked and failed."""
        return self.fallback and FALLBACK_SEPARATOR in self.upstream_status


def parse(lines: Iterable[str]) -> Iterator[AccessLogEntry | None]:
    """Yield an entry for each line; None for a damaged line, for example one cut off by a full disk."""
    for line in lines:
        try:
            members = json.loads(line)
            yield AccessLogEntry(
                at=float(members["time"]),
                method=str(members["method"]),
                path=str(members["path"]),
                status=int(members["status"]),
                assigned=str(members["assigned"]),
                served=str(members["served"]),
                fallback=members["fallback"] == "1",
                epoch=None if members["epoch"] is None else int(members["epoch"]),
                seconds=float(members["seconds"]),
                upstream_seconds=_total(members["upstream_seconds"]),
                upstream_status=str(members["upstream_status"]).strip("- "),
                bound=str(members.get("bound", "")),
                rate=str(members.get("rate", "")),
                key=str(members.get("key", "")),
            )
        except (ValueError, KeyError, TypeError):
            yield None


@dataclass(frozen=True)
class LogOffset:
    """A position in a log: the file and the bytes read, up to the end of a line."""

    device: int
    inode: int
    offset: int


class LogFollower:
    """Read new lines of a log. A rotated file is read to its end before the next one.

    Start at the `mark` of an earlier follower, also in a file that was rotated meanwhile. Without a mark, or if both
    files have been replaced, start `replay_bytes` before the end.
    """

    def __init__(self, path: Path, replay_bytes: int = REPLAY_BYTES, mark: LogOffset | None = None) -> None:
        self._path = path
        self._replay_bytes = replay_bytes if mark is None else sys.maxsize
        self._begin = self._mark = mark
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._leaving = False

    def read(self) -> list[str]:
        """Return the complete lines since the last call. The first call returns only the end of a long log."""
        if self._file is None:
            self._file = self._open()
        if self._file is None:
            self._replay_bytes = sys.maxsize  # a log that is created later is read from its beginning
            return []
        if os.fstat(self._file.fileno()).st_size < self._file.tell():  # truncated
            self._file.seek(0)
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        self._mark = _mark(self._file, len(self._rest))
        self._follow_rotation(self._file)
        return [line.decode("utf-8", "replace") for line in lines]

    @property
    def mark(self) -> LogOffset | None:
        """The end of the lines that `read` has returned."""
        return self._mark

    def rotate(self, reopen: Callable[[], None], limit_bytes: int = ROTATE_BYTES) -> bool:
        """Rotate a log above the limit, and keep one old file. `reopen` makes Nginx open its logs again."""
        try:
            if self._path.stat().st_size <= limit_bytes:
                return False
        except OSError:
            return False
        self._path.replace(self._rotated)
        reopen()
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def _rotated(self) -> Path:
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
            file.readline()  # the rest of a partial line
        return file

    def _open_marked(self, mark: LogOffset) -> IO[bytes] | None:
        """Return the file of the mark, at the mark; None if it is neither the log nor the rotated file."""
        for path in (self._path, self._rotated):
            try:
                file = path.open("rb")
            except OSError:
                continue
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) == (mark.device, mark.inode):
                file.seek(mark.offset if mark.offset <= status.st_size else 0)  # else it was truncated
                return file
            file.close()
        return None

    def _follow_rotation(self, file: IO[bytes]) -> None:
        """Close a rotated file one call later, because Nginx writes to it until it reopens its logs."""
        try:
            current, opened = self._path.stat(), os.fstat(file.fileno())
        except OSError:
            return
        if (current.st_dev, current.st_ino) == (opened.st_dev, opened.st_ino):
            return
        if self._leaving:
            self.close()
            self._rest, self._replay_bytes = b"", sys.maxsize
        self._leaving = not self._leaving


def _mark(file: IO[bytes], unread: int) -> LogOffset:
    status = os.fstat(file.fileno())
    return LogOffset(status.st_dev, status.st_ino, file.tell() - unread)


def _total(times: str) -> float:
    """Return the sum of Nginx's list of times, "0.004, 0.012 : 0.003"; "-" is a server that was never reached."""
    return sum(float(time) for time in times.replace(":", " ").replace(",", " ").split() if time != "-")
