"""Prediction ids: integers of one database sequence, reserved in blocks ahead of need.

A request takes its id from memory; the drain's thread tops the reserve up. The reserve grows with the traffic, so that
it lasts for minutes while PostgreSQL is away. Ids that a killed process had reserved are never used: numbers have gaps.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from homeprices.predictions.tables import ID_BLOCK

if TYPE_CHECKING:
    from homeprices.settings import Settings


RESERVE_SECONDS = 600
"""How long the reserve lasts at the present traffic."""

MOST_BLOCKS = 1000  # a million ids, whatever the traffic was measured to be
RATE_WINDOW_SECONDS = 2.0
RATE_DECAY = 0.9  # a window, so that a pause empties nothing
FEWEST_BLOCKS = 20
ISSUED_BLOCKS_KEPT = 1000  # enough to know an estimate of the last minutes; older ones are in the database

_RESERVE = text("SELECT nextval('prediction_id') FROM generate_series(1, :blocks)")


class IdReserve:
    """Ids for the requests of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._current: Iterator[int] = iter(())
        self._blocks: deque[range] = deque()
        self._given: deque[range] = deque(maxlen=ISSUED_BLOCKS_KEPT)
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

    def was_issued(self, number: int) -> bool:
        """Whether this process has given out the id (lately)."""
        with self._lock:
            if not self._given:
                return False
            newest = self._given[-1]
            return any(number in block and (block is not newest or number <= self._last) for block in self._given)

    def owns(self, number: int) -> bool:
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


# Whether an estimate of an id was given to anybody, as far as PostgreSQL can tell.
#
# A process issues the ids of a block in order and drains them in that order, so an id that a later one of its block
# has left behind was never issued. One behind which nothing is stored may lie in the spool of any replica, as long as
# that replica does not reach PostgreSQL: it cannot be told, and only the drain will know.


OUT_OF_ORDER_SECONDS = 60
"""Longer than any request takes: two threads may take their ids in one order and put them on disk in the other."""

_TRACE = text(
    """
    SELECT EXISTS (SELECT FROM prediction_logs WHERE id = :id) AS stored,
           (SELECT is_called AND :id < last_value + :block FROM prediction_id) AS reserved,
           EXISTS (SELECT FROM prediction_logs
                   WHERE id > :id AND id <= :end AND ts < now() - make_interval(secs => :seconds)) AS passed_over
    """
)


@dataclass(frozen=True)
class IdLookup:
    """What PostgreSQL has of an id: its estimate, a block that somebody reserved, a later estimate of that block."""

    stored: bool
    reserved: bool
    passed_over: bool


def look_up_id(connection: Connection, prediction_id: int) -> IdLookup:
    """Look for an id in the log and in the sequence, in one statement."""
    end = -(-prediction_id // ID_BLOCK) * ID_BLOCK  # blocks begin with 1
    asked = {"id": prediction_id, "end": end, "block": ID_BLOCK, "seconds": OUT_OF_ORDER_SECONDS}
    return IdLookup(**connection.execute(_TRACE, asked).mappings().one())


# Visitors in the log: a keyed hash, the same for the same visitor, of no use to who has the log without the key.


HASH_HEX_DIGITS = 32  # 128 bits: no two visitors meet by chance


class VisitorHash:
    """HMAC-SHA256 (RFC 2104) of a visitor id under the key of this installation."""

    def __init__(self, key: bytes) -> None:
        self._state = hmac.new(key, digestmod=hashlib.sha256)  # the key is worked in once, not at every request

    def __call__(self, visitor: str) -> str:
        """The hash of a visitor id, as hex."""
        state = self._state.copy()
        state.update(visitor.encode())
        return state.hexdigest()[:HASH_HEX_DIGITS]


def hashed_testers(settings: Settings) -> frozenset[str]:
    """The visitors of `HOMEPRICES_TESTERS` as the log knows them: they are no part of an experiment."""
    visitor_hash = VisitorHash(settings.visitor_key.get_secret_value().encode())
    return frozenset(visitor_hash(tester) for tester in settings.tester_ids)
