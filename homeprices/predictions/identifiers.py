"""Prediction ids, reserved in blocks ahead of need; which were issued; the pseudonyms of visitors and networks.

Ids are integers of one database sequence. A request takes its id from memory, and the drain refills the reserve. The
reserve grows with the traffic, so that it lasts for minutes while PostgreSQL is unavailable. Ids that a killed process
had reserved are never used, so the numbers have gaps.

A process issues and drains the ids of a block in order. So an id that is missing before a stored id of its block was
never issued. An id without a stored successor is undetermined: it may lie in the spool of any replica that cannot reach
PostgreSQL.

Visitors and their networks appear in the log as keyed hashes. Without the key they cannot be linked to visitor ids or
addresses.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from homeprices.log import get_logger
from homeprices.predictions.tables import ID_BLOCK

if TYPE_CHECKING:
    from homeprices.settings import Settings

log = get_logger(__name__)

RESERVE_SECONDS = 600
"""How long the reserve lasts at the measured traffic."""

MOST_BLOCKS = 1000  # at most a million ids
RATE_WINDOW_SECONDS = 2.0
RATE_DECAY = 0.9  # per window, so that the reserve survives a pause in the traffic
FEWEST_BLOCKS = 20

_RESERVE = text("SELECT nextval('prediction_id') FROM generate_series(1, :blocks)")


class IdReserve:
    """Ids for the requests of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._current: Iterator[int] = iter(())
        self._blocks: deque[range] = deque()
        self._taken = 0
        self._rate = 0.0
        self._measured_at = clock()

    def take(self) -> int | None:
        """Return the next id; None if the reserve is used up because PostgreSQL has been unavailable for long."""
        with self._lock:
            number = next(self._current, None)
            if number is None:
                if not self._blocks:
                    return None
                self._current = iter(self._blocks.popleft())
                number = next(self._current)
            self._taken += 1
            return number

    @property
    def left(self) -> int:
        """The number of reserved ids, without those of the block in use."""
        return len(self._blocks) * ID_BLOCK

    def missing_blocks(self) -> int:
        """Return how many blocks to reserve now: zero until the reserve is below half of its target."""
        wanted = min(MOST_BLOCKS, FEWEST_BLOCKS + int(self._rate_per_second() * RESERVE_SECONDS) // ID_BLOCK)
        held = len(self._blocks)
        return 0 if held > wanted // 2 else wanted - held

    def add(self, blocks: list[range]) -> None:
        """Add reserved blocks."""
        with self._lock:
            self._blocks.extend(blocks)

    def _rate_per_second(self) -> float:
        """Return the ids per second of the last window, or the decaying rate of earlier windows if that is higher."""
        elapsed = self._clock() - self._measured_at
        if elapsed >= RATE_WINDOW_SECONDS:
            with self._lock:
                taken, self._taken = self._taken, 0
            self._rate = max(taken / elapsed, self._rate * RATE_DECAY)
            self._measured_at = self._clock()
        return self._rate


SLOTS = 1 << 20  # enough for the last minutes; older predictions are in PostgreSQL


class IssuedIds:
    """The ids of predictions that are on this machine's disk: one file of 8 MiB, shared by all serving processes.

    Slot `id % SLOTS` holds an id. So a look-up reads eight bytes, whatever id a stranger asks for, and an id stays
    known when its segment is drained or its process is killed. A later id replaces it in the slot.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file = -1

    def open(self) -> None:
        """Open the file. If the disk takes none, no id is known here, and PostgreSQL tells which were issued."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.warning("issued_ids_not_opened", reason=str(error))

    def add(self, numbers: Sequence[int]) -> None:
        """Add ids, once their records are on disk. A full disk takes none."""
        runs = groupby(enumerate(numbers), key=lambda item: (item[1] - item[0], item[1] // SLOTS))  # one write each
        with self._lock, suppress(OSError):
            for _, run in runs:
                slots = array("q", [number for _, number in run])
                os.pwrite(self._file, slots, slots[0] % SLOTS * slots.itemsize)

    def __contains__(self, number: int) -> bool:
        """Return whether the id was added, and none replaced it."""
        slot = array("q", [number])
        try:
            with self._lock:
                return os.pread(self._file, slot.itemsize, number % SLOTS * slot.itemsize) == slot.tobytes()
        except OSError:
            return False

    def close(self) -> None:
        """Close the file, which stays for the next process."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1


def reserve(connection: Connection, blocks: int) -> list[range]:
    """Reserve blocks of ids. They belong to the caller only after the transaction has committed.

    A sequence does not roll back. But after a crash of the server it may issue numbers again that it had given to a
    transaction that never committed.
    """
    starts = connection.execute(_RESERVE, {"blocks": blocks}).scalars().all()
    return [range(start, start + ID_BLOCK) for start in starts]


OUT_OF_ORDER_SECONDS = 60
"""Longer than any request takes. Two threads may write their records in another order than they took their ids."""

_LOOKUP = text(
    """
    SELECT EXISTS (SELECT FROM prediction_logs WHERE id = :id) AS stored,
           (SELECT is_called AND :id < last_value + :block FROM prediction_id) AS reserved,
           EXISTS (SELECT FROM prediction_logs
                   WHERE id > :id AND id <= :end AND ts < now() - make_interval(secs => :seconds)) AS passed_over
    """
)


@dataclass(frozen=True)
class IdLookup:
    """State of an id in PostgreSQL: its prediction is stored, its block reserved, a later id of its block stored."""

    stored: bool
    reserved: bool
    passed_over: bool


def look_up_id(connection: Connection, prediction_id: int) -> IdLookup:
    """Look up an id in the log and in the sequence, with one statement."""
    end = -(-prediction_id // ID_BLOCK) * ID_BLOCK  # blocks begin with 1
    values = {"id": prediction_id, "end": end, "block": ID_BLOCK, "seconds": OUT_OF_ORDER_SECONDS}
    return IdLookup(**connection.execute(_LOOKUP, values).mappings().one())


_EXPOSED = text(
    "SELECT EXISTS (SELECT FROM prediction_logs WHERE id = :id AND visitor = :visitor AND returning_visitor)"
)


def was_exposed(connection: Connection, prediction_id: int, visitor: str) -> bool:
    """Return whether the prediction is stored as one of this visitor, a keyed hash, who had sent the cookie with it."""
    return bool(connection.execute(_EXPOSED, {"id": prediction_id, "visitor": visitor}).scalar_one())


HASH_HEX_DIGITS = 32  # 128 bits, so that two visitors never collide by chance
NETWORK_HEX_DIGITS = 16
IPV4_PREFIX, IPV6_PREFIX = 24, 48
"""Bits of an address that name its network: about one household, office or small provider's customers."""


class VisitorHash:
    """HMAC-SHA256 (RFC 2104) of a visitor id under the key of this installation."""

    def __init__(self, key: bytes) -> None:
        self._state = hmac.new(key, digestmod=hashlib.sha256)  # the key is processed once, not for every request

    def __call__(self, visitor: str) -> str:
        """Return the hash of a visitor id, as hex digits."""
        state = self._state.copy()
        state.update(visitor.encode())
        return state.hexdigest()[:HASH_HEX_DIGITS]


class NetworkHash:
    """HMAC-SHA256 of a network, under a key derived from that of the installation for this purpose only."""

    def __init__(self, key: bytes) -> None:
        self._hash = VisitorHash(hmac.new(key, b"visitor network", hashlib.sha256).digest())

    def __call__(self, address: IPv4Address | IPv6Address) -> str:
        """Return the hash of the network of an address, as hex digits; an IPv4-mapped address counts as IPv4."""
        plain = getattr(address, "ipv4_mapped", None) or address
        prefix = IPV4_PREFIX if plain.version == 4 else IPV6_PREFIX
        network = int(plain) >> (plain.max_prefixlen - prefix)
        return self._hash(f"{plain.version}:{network:x}")[:NETWORK_HEX_DIGITS]


def hashed_testers(settings: Settings) -> frozenset[str]:
    """Return the pseudonyms of `HOMEPRICES_TESTERS`, who are excluded from experiments."""
    visitor_hash = VisitorHash(settings.visitor_key.get_secret_value().encode())
    return frozenset(visitor_hash(tester) for tester in settings.tester_ids)
