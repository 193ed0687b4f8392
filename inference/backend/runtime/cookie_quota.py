"""The limit of new cookies: each network gets a fixed number in a clock hour, and its other new visitors get none.

Without it, each request of one address could count as a visitor of an experiment. The counts are in a table of fixed
size, indexed by the keyed hash of the network. So memory is bounded, nothing is evicted, and a client cannot choose a
network that shares its slot. Each worker counts its own requests and grants its part of the quota.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable

NEW_COOKIES_AN_HOUR = 120
"""Per network and instance: about what the homes or the office behind one address need."""

PLACES = 2**16
_HOUR_SECONDS = 3600


class CookieQuota:
    """Counts of one worker of `workers`. Thread-safe. An instance grants at most `NEW_COOKIES_AN_HOUR` a network."""

    def __init__(self, workers: int = 1, clock: Callable[[], float] = time.time) -> None:
        self._most = max(1, NEW_COOKIES_AN_HOUR // workers)
        self._clock = clock
        self._lock = threading.Lock()
        self._hour = -1
        self._given = array("H")

    def take(self, network: str | None) -> bool:
        """Return whether a new visitor of the network gets a cookie, and count it. None: an unreadable address."""
        place = int(network or "0", 16) % PLACES
        hour = int(self._clock() // _HOUR_SECONDS)
        with self._lock:
            if hour != self._hour:
                self._hour, self._given = hour, array("H", bytes(2 * PLACES))
            if self._given[place] >= self._most:
                return False
            self._given[place] += 1
            return True
