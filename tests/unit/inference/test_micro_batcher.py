"""Micro-batching: one thread processes all waiting items, and each caller gets its own result or the error."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from inference.backend.runtime.micro_batcher import MicroBatcher

SECONDS = 10
THREADS, CALLS = 16, 400


class Gathering:
    """In place of a yield: the leader waits in it until the wanted number of calls is queued."""

    def __init__(self, wanted: int) -> None:
        self.leads = threading.Event()
        self.go = threading.Event()
        self.wanted = wanted

    def __call__(self) -> None:
        if not self.leads.is_set():
            self.leads.set()
            assert self.go.wait(SECONDS)

    def all_ask(self, together: MicroBatcher[int, int]) -> None:
        while len(together._waiting) < self.wanted:
            pass
        self.go.set()


def ask_together(together: MicroBatcher[int, int], gathering: Gathering, pool: ThreadPoolExecutor) -> list[object]:
    """Return the results of concurrent calls with 0 .. wanted - 1, in order; an error in place of a result."""
    first = pool.submit(together, 0)
    assert gathering.leads.wait(SECONDS)
    futures = [first, *(pool.submit(together, item) for item in range(1, gathering.wanted))]
    gathering.all_ask(together)
    return [future.exception(SECONDS) or future.result() for future in futures]


def test_a_single_call_is_processed_at_once() -> None:
    asked: list[list[int]] = []
    together: MicroBatcher[int, int] = MicroBatcher(lambda items: asked.append(items) or [item * 2 for item in items])  # type: ignore[func-returns-value]
    assert [together(21), together(4)] == [42, 8]
    assert asked == [[21], [4]]


def test_concurrent_calls_share_one_batch_and_get_their_own_results() -> None:
    asked: list[list[int]] = []

    def work(items: list[int]) -> list[int]:
        asked.append(items)
        return [item * item for item in items]

    gathering = Gathering(6)
    together = MicroBatcher(work, gathering)
    with ThreadPoolExecutor(6) as pool:
        assert ask_together(together, gathering, pool) == [item * item for item in range(6)]
    assert [sorted(items) for items in asked] == [list(range(6))]


@pytest.mark.parametrize("short", [False, True])
def test_an_error_reaches_all_calls_of_its_batch_and_none_after_it(short: bool) -> None:
    broken = [True]

    def work(items: list[int]) -> Sequence[int]:
        if not broken[0]:
            return items
        if short:
            return items[1:]
        raise KeyError("broken")

    gathering = Gathering(4)
    together = MicroBatcher(work, gathering)
    with ThreadPoolExecutor(4) as pool:
        found = ask_together(together, gathering, pool)
        broken[0] = False
        assert pool.submit(together, 7).result(SECONDS) == 7
    assert [type(one) for one in found] == [ValueError if short else KeyError] * 4


def test_a_call_does_not_wait_for_a_batch_that_has_started() -> None:
    begun, go = threading.Event(), threading.Event()

    def work(items: list[int]) -> list[int]:
        if 0 in items:
            begun.set()
            assert go.wait(SECONDS)
        return items

    together = MicroBatcher(work)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(together, 0)
        assert begun.wait(SECONDS)
        assert pool.submit(together, 1).result(SECONDS) == 1
        assert not slow.done()
        go.set()
        assert slow.result(SECONDS) == 0


def test_many_threads_get_every_result_once_and_their_own() -> None:
    worked: list[int] = []

    def work(items: list[int]) -> list[int]:
        worked.extend(items)
        return [-item for item in items]

    together = MicroBatcher(work)

    def ask(thread: int) -> list[tuple[int, int]]:
        mine = range(thread * CALLS, (thread + 1) * CALLS)
        return [(item, together(item)) for item in mine]

    with ThreadPoolExecutor(THREADS) as pool:
        found = [pair for pairs in pool.map(ask, range(THREADS)) for pair in pairs]
    assert all(result == -item for item, result in found)
    assert sorted(worked) == list(range(THREADS * CALLS))
