"""The parts of the status: each is read in its own thread, bounded in time, and kept for some seconds.

A part is read on request only. A part that cannot be read, or takes too long, says so in its place and delays no
other. A thread that hangs is not started a second time, so a dead dependency holds one thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from homeprices.foreign_text import LONG, printable
from homeprices.log import get_logger

Data = dict[str, Any]
UNAVAILABLE = "unavailable"
"""The only member of a part that could not be read: the reason."""

PATIENCE_SECONDS = 4.0

log = get_logger("operations")


@dataclass(frozen=True)
class Source:
    """How a part is read, and for how many seconds the result is kept."""

    name: str
    read: Callable[[], Data]
    keep_seconds: float = 4.0


class _Part:
    def __init__(self, source: Source, clock: Callable[[], float]) -> None:
        self._source, self._clock = source, clock
        self._thread: threading.Thread | None = None
        self._result: Data = {}
        self._read_at: float | None = None

    def begin(self) -> None:
        """Start to read, unless the result is fresh or a thread is reading."""
        if self._thread is not None and self._thread.is_alive():
            return
        if self._read_at is not None and self._clock() - self._read_at < self._source.keep_seconds:
            return
        self._thread = threading.Thread(target=self._run, name=f"status-{self._source.name}", daemon=True)
        self._thread.start()

    def result(self, deadline: float) -> Data:
        """Return the part, or why there is none at the deadline."""
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - self._clock()))
            if self._thread.is_alive():
                return {UNAVAILABLE: f"no answer within {PATIENCE_SECONDS:g} s"}
        return self._result

    def forget(self) -> None:
        """Read the part again at the next request, however fresh it is."""
        self._read_at = None

    def _run(self) -> None:
        try:
            self._result = self._source.read()
        except Exception as error:  # whatever it is, the other parts of the page stand
            log.info("status_part_unavailable", part=self._source.name, error=f"{type(error).__name__}: {error}")
            self._result = {UNAVAILABLE: printable(str(error) or type(error).__name__, LONG)}
        self._read_at = self._clock()


class Parts:
    """All parts. Concurrent readers share one reading."""

    def __init__(
        self,
        sources: Iterable[Source],
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parts = {source.name: _Part(source, clock) for source in sources}
        self._patience, self._clock = patience_seconds, clock
        self._lock = threading.Lock()

    def forget(self, name: str) -> None:
        """Read this part again at the next request."""
        self._parts[name].forget()

    def read(self) -> Mapping[str, Data]:
        """Return every part by name, after at most the patience (twice that if another request is reading)."""
        with self._lock:
            for part in self._parts.values():
                part.begin()
            deadline = self._clock() + self._patience
            return {name: part.result(deadline) for name, part in self._parts.items()}
