"""How many batches a worker has in hand: one is worked on, one waits, and the other threads are for visitors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from homeprices.errors import Unavailable

MOST_PRESENT = 2
WAIT_SECONDS = 5.0
RETRY_AFTER_SECONDS = 2


class BatchPlaces:
    """Room for the batches of one worker."""

    def __init__(self) -> None:
        self._present = threading.BoundedSemaphore(MOST_PRESENT)
        self._working = threading.Lock()

    @contextmanager
    def turn(self, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
        """This batch's turn, soon. Raises Unavailable when too many wait already, or the one before takes too long."""
        busy = Unavailable("this worker has other batches to price; try again", RETRY_AFTER_SECONDS)
        if not self._present.acquire(blocking=False):
            raise busy
        try:
            if not self._working.acquire(timeout=wait_seconds):
                raise busy
            try:
                yield
            finally:
                self._working.release()
        finally:
            self._present.release()
