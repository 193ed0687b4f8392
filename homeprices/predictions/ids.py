"""Prediction ids: integers of one database sequence, reserved in blocks ahead of need.

A request takes its id from memory; the drain's thread tops the reserve up. The reserve grows with the traffic, so that
it lasts for minutes while PostgreSQL is away. Ids that a killed process had reserved are never used: numbers have gaps.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from sqlalchemy import Connection, text

from homeprices.predictions.tables import ID_BLOCK

RESERVE_SECONDS = 600
"""How long the reserve lasts at the present traffic."""

MOST_BLOCKS = 1000  # a million ids, whatever the traffic was measured to be
RATE_WINDOW_SECONDS = 2.0
RATE_DECAY = 0.9  # a window, so that a pause empties nothing
FEWEST_BLOCKS = 20
GIVEN_BLOCKS_KEPT = 1000  # enough to know an estimate of the last minutes; older ones are in the database

_RESERVE = text("SELECT nextval('prediction_id') FROM generate_series(1, :blocks)")


class IdReserve:
    """Ids for the requests of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._current: Iterator[int] = iter(())
        self._blocks: deque[range] = deque()
        self._given: deque[range] = deque(maxlen=GIVEN_BLOCKS_KEPT)
        self._last = 0
        self._taken = 0
        self._rate = 0.0
        self._measured_at = clock()

    def take(self) -> int | None:
        """The next id; None when the reserve is used up because PostgreSQL has been away for long."""
        with self._lock:
            number = next(self._current, None)
            if number is None:
                if not self._blocks:
                    return None
                block = self._blocks.popleft()
                self._given.append(block)
                self._current = iter(block)
                number = next(self._current)
            self._last = number
            self._taken += 1
            return number

    def was_given(self, number: int) -> bool:
        """Whether this process has given out the id (lately)."""
        with self._lock:
            if not self._given:
                return False
            newest = self._given[-1]
            return any(number in block and (block is not newest or number <= self._last) for block in self._given)

    def holds(self, number: int) -> bool:
        """Whether the id belongs to this process, given out (lately) or not yet: then nobody else can have given it."""
        with self._lock:
            return any(number in block for block in (*self._given, *self._blocks))

    @property
    def left(self) -> int:
        """Ids in reserve, but for those of the block in use."""
        return len(self._blocks) * ID_BLOCK

    def missing_blocks(self) -> int:
        """How many blocks to reserve now. Zero until the reserve has fallen below half of what it should be."""
        wanted = min(MOST_BLOCKS, FEWEST_BLOCKS + int(self._rate_per_second() * RESERVE_SECONDS) // ID_BLOCK)
        held = len(self._blocks)
        return 0 if held > wanted // 2 else wanted - held

    def add(self, blocks: list[range]) -> None:
        """Put reserved blocks into the reserve."""
        with self._lock:
            self._blocks.extend(blocks)

    def _rate_per_second(self) -> float:
        """Ids a second in the last window, or the slowly fading rate of those before."""
        elapsed = self._clock() - self._measured_at
        if elapsed >= RATE_WINDOW_SECONDS:
            with self._lock:
                taken, self._taken = self._taken, 0
            self._rate = max(taken / elapsed, self._rate * RATE_DECAY)
            self._measured_at = self._clock()
        return self._rate


def reserve(connection: Connection, blocks: int) -> list[range]:
    """Blocks of ids that belong to the caller once the transaction is committed, and not before.

    A sequence does not roll back, but what it has given to a transaction that never committed can be lost in a crash of
    the server, and is then given again.
    """
    starts = connection.execute(_RESERVE, {"blocks": blocks}).scalars().all()
    return [range(start, start + ID_BLOCK) for start in starts]
