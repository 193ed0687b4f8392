"""A local copy of the key ring. A thread polls the bucket, so that no request waits for it.

The copy is in a file too. It holds while the bucket is away, also after a restart: a key works without the bucket, and
ends at its time. Only a revocation needs the bucket.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from homeprices.adapters.object_store import Bucket
from homeprices.errors import HomePricesError, ObjectNotFound
from homeprices.files import write_atomic
from homeprices.keys import key_ring
from homeprices.keys.key_ring import KeyRing
from homeprices.log import get_logger

POLL_SECONDS = 3.0  # at most: with the reload of a router, a revocation is everywhere within 10 s

log = get_logger(__name__)


class KeyCache:
    """Poll the ring every `poll_seconds`, keep it in `file`, and call `on_change` with each new one."""

    def __init__(
        self, bucket: Bucket, file: Path, poll_seconds: float, on_change: Callable[[KeyRing], object] = lambda _: None
    ) -> None:
        self._bucket, self._file = bucket, file
        self._poll_seconds = min(POLL_SECONDS, poll_seconds)
        self._on_change = on_change
        self._etag: str | None = None
        self._polled, self._closing = threading.Event(), threading.Event()
        self._failing = False
        stored = _load(file)
        self.ring = stored or KeyRing()
        self._has_copy = stored is not None
        on_change(self.ring)

    def start(self, timeout_seconds: float) -> None:
        """Start polling. Wait for the first poll, at most for the timeout, then go on with the stored copy."""
        threading.Thread(target=self._run, name="key-ring", daemon=True).start()
        self._polled.wait(timeout_seconds)

    def close(self) -> None:
        """Stop polling."""
        self._closing.set()

    def poll(self) -> None:
        """Read the ring. While it cannot be read, the present one stays in force."""
        try:
            held = self._bucket.get(key_ring.KEY)
            if held.etag == self._etag:
                self._failing = False
                return
            ring, etag = key_ring.parse(held.body), held.etag
        except ObjectNotFound:
            ring, etag = KeyRing(), None
        except Exception as error:  # whatever it is, the thread must live, or no later revocation arrives
            if not self._failing:
                log.warning("key_ring_unavailable", using="cached", error=str(error))
            self._failing = True
            return
        self._failing, self._etag = False, etag
        if ring != self.ring or not self._has_copy:
            self.ring = ring
            self._on_change(ring)
            self._store(ring)

    def _run(self) -> None:
        while not self._closing.is_set():
            self.poll()
            self._polled.set()
            self._closing.wait(self._poll_seconds)

    def _store(self, ring: KeyRing) -> None:
        with contextlib.suppress(OSError):  # a full disk must not keep a revocation from coming into force
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._file, ring.model_dump_json(), private=True)
            self._has_copy = True


def _load(file: Path) -> KeyRing | None:
    try:
        return key_ring.parse(file.read_bytes())
    except (OSError, HomePricesError):
        return None
