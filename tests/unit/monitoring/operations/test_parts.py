"""Parts of the status: read when somebody asks, once for all who ask together, each bounded and on its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from homeprices.errors import StorageUnavailable
from monitoring.operations.parts import PATIENCE_SECONDS, Parts, Source


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Counted:
    """A reader that counts its calls; `fails` makes it raise, `gate` makes it wait."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.calls, self.fails, self.gate = 0, False, gate

    def __call__(self) -> dict[str, Any]:
        self.calls += 1
        if self.gate is not None:
            self.gate.wait(60)
        if self.fails:
            raise StorageUnavailable("the bucket does not answer\x1b[31m")
        return {"calls": self.calls}


def parts(*readers: Callable[[], dict[str, Any]], clock: Clock | None = None, patience: float = 60.0) -> Parts:
    sources = [Source(f"part{number}", reader) for number, reader in enumerate(readers)]
    return Parts(sources, patience, clock or Clock())


def test_nothing_is_read_before_somebody_asks_and_a_result_is_kept_for_seconds() -> None:
    clock, reader = Clock(), Counted()
    both = parts(reader, clock=clock)
    assert reader.calls == 0
    assert [both.read()["part0"]["calls"] for _ in range(3)] == [1, 1, 1]
    clock.now = 4.0
    assert both.read()["part0"]["calls"] == 2


def test_a_part_is_read_again_at_once_when_it_was_changed() -> None:
    reader = Counted()
    one = parts(reader)
    one.read()
    one.forget("part0")
    assert one.read()["part0"]["calls"] == 2


def test_who_asks_together_shares_one_reading() -> None:
    gate = threading.Event()
    reader = Counted(gate)
    one, found = parts(reader), []
    threads = [threading.Thread(target=lambda: found.append(one.read()["part0"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(60)
    assert (found, reader.calls) == ([{"calls": 1}] * 8, 1)


def test_a_part_that_fails_says_why_and_the_others_stand() -> None:
    broken, good = Counted(), Counted()
    broken.fails = True
    found = parts(broken, good).read()
    assert found == {"part0": {"unavailable": "the bucket does not answer\\x1b[31m"}, "part1": {"calls": 1}}


def test_a_part_that_hangs_is_left_behind_and_holds_one_thread() -> None:
    gate = threading.Event()
    hanging, good = Counted(gate), Counted()
    both = Parts([Source("hanging", hanging), Source("good", good, keep_seconds=-1.0)], patience_seconds=0.05)
    for number in (1, 2, 3):
        found = both.read()
        assert found["hanging"] == {"unavailable": f"no answer within {PATIENCE_SECONDS:g} s"}
        assert found["good"] == {"calls": number}
    assert hanging.calls == 1
    gate.set()
    found = Parts([Source("hanging", hanging)], patience_seconds=60).read()
    assert found["hanging"]["calls"] == 2
