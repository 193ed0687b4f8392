"""Work that several threads ask for at one time, done by one of them for all.

To call a model, a file or a counter costs more than what it then does for one item, because its code has left the
processor's caches since the last time. So the first thread that asks lets those run that are on their way, once, and
then works for all who came meanwhile: what databases call group commit, and model servers dynamic batching. Nobody
waits for a time to pass: who is alone is served at once, and the more there is to do, the more is done together.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

from homeprices.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

# `os.sched_yield` lets no other thread have the interpreter before Python 3.12.
yield_once = ctypes.CDLL(None).sched_yield


class _Call(Generic[Item, Result]):
    """What one thread asks for; `answered` is free when there are results or an error."""

    __slots__ = ("answered", "error", "item", "results")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.answered = Lock()
        self.results: Sequence[Result] = ()
        self.error: BaseException | None = None


class MicroBatcher(Generic[Item, Result]):
    """Called with an item, returns its result of `work`, which takes items and returns as many results, in order.

    What `work` raises is raised for each item of that call. `gather` lets others come, and raises nothing. Safe to call
    from any number of threads.
    """

    def __init__(
        self, work: Callable[[list[Item]], Sequence[Result]], gather: Callable[[], object] = yield_once
    ) -> None:
        self._work = work
        self._gather = gather
        self._lock = Lock()
        self._waiting: list[_Call[Item, Result]] = []

    def __call__(self, item: Item) -> Result:
        call: _Call[Item, Result] = _Call(item)
        with self._lock:
            self._waiting.append(call)
            leads = len(self._waiting) == 1
            if not leads:
                call.answered.acquire()
        if leads:
            self._lead()
        else:
            call.answered.acquire()
        if call.error is not None:
            raise call.error
        [result] = call.results
        return result

    def _lead(self) -> None:
        """Work for all who wait, and tell them, whatever happens."""
        self._gather()
        with self._lock:
            calls, self._waiting = self._waiting, []
        try:
            results = self._work([call.item for call in calls])
            for call, result in zip(calls, results, strict=True):
                call.results = (result,)
        except BaseException as error:
            for call in calls:
                call.error = error
        finally:
            for call in calls[1:]:
                call.answered.release()


# How many batches a worker has in hand: one is worked on, one waits, and the other threads are for visitors.


MOST_PRESENT = 2
WAIT_SECONDS = 5.0
RETRY_AFTER_SECONDS = 2


class BatchSlots:
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
