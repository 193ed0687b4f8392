"""Micro-batching: one thread processes the requests of all threads that are waiting.

A model call, a file write and a counter update have a fixed cost that exceeds the cost of one item, because their code
is cold in the CPU caches. The first waiting thread yields once, then processes everything that has queued up. Databases
call this group commit, model servers dynamic batching. There is no timer, so a single request is never delayed.

`BatchSlots` limits the batch requests of a worker, so that threads stay free for visitors.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

from homeprices.errors import Unavailable

MOST_PRESENT = 2  # batch requests of a worker: one is processed, one waits
WAIT_SECONDS = 5.0
RETRY_AFTER_SECONDS = 2

Item = TypeVar("Item")
Result = TypeVar("Result")

# `os.sched_yield` does not release the interpreter lock before Python 3.12.
yield_once = ctypes.CDLL(None).sched_yield


class _Call(Generic[Item, Result]):
    """One thread's item. `answered` is released once there is a result or an error."""

    __slots__ = ("answered", "error", "item", "results")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.answered = Lock()
        self.results: Sequence[Result] = ()
        self.error: BaseException | None = None


class MicroBatcher(Generic[Item, Result]):
    """Return the result of `work` for one item; `work` takes a list of items and returns as many results, in order.

    An exception of `work` is raised for each item of that call. `gather` lets other threads queue their items; it must
    not raise. Safe to call from any number of threads.
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
            self._process_waiting()
        else:
            call.answered.acquire()
        if call.error is not None:
            raise call.error
        [result] = call.results
        return result

    def _process_waiting(self) -> None:
        """Process all waiting items, and release their threads whatever happens."""
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


class BatchSlots:
    """Slots for the batch requests of one worker."""

    def __init__(self) -> None:
        self._present = threading.BoundedSemaphore(MOST_PRESENT)
        self._working = threading.Lock()

    @contextmanager
    def turn(self, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
        """Hold the worker's turn. Raises Unavailable if all slots are taken, or the turn is not free in time."""
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
