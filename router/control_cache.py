"""A local cache of the control record. A thread polls the bucket, so that a hanging bucket never blocks the router.

The last record is stored in a file and stays in force while the bucket is unavailable, also after a restart of the
agent. A stop by the circuit breaker is in force at once, and is written to the bucket as soon as the bucket responds.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import HomePricesError
from homeprices.files import write_atomic
from homeprices.log import get_logger
from homeprices.release import control_record
from homeprices.release.experiment_record import ControlRecord

ACTOR = "router"
log = get_logger(__name__)


class Control(Protocol):
    """The storage of the control record."""

    def read(self) -> ControlRecord:
        """Return the record. Raises HomePricesError."""

    def stop(self, epoch: int, reason: str) -> ControlRecord:
        """Set the share of this epoch to zero, unless another epoch has begun. Raises HomePricesError."""


class BucketControl:
    """The control record in the bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def read(self) -> ControlRecord:
        return control_record.read(self._bucket)

    def stop(self, epoch: int, reason: str) -> ControlRecord:
        record = control_record.read(self._bucket)
        return control_record.stop_share(self._bucket, ACTOR, reason) if record.epoch == epoch else record


class Stop(BaseModel):
    """A stop by the breaker that may not be in the bucket yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    reason: str


class CachedRecord(BaseModel):
    """The last record that was read, and the breaker's stop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    record: ControlRecord = ControlRecord()
    stop: Stop | None = None

    @property
    def stopped_here(self) -> bool:
        """Whether the breaker's stop still overrides the record."""
        return self.stop is not None and self.stop.epoch == self.record.epoch and self.record.state == "running"

    @property
    def breaker_open(self) -> bool:
        """Whether the share is zero because of the breaker. Setting a share again closes the breaker."""
        if self.stop is None:
            return False
        return self.stopped_here or (self.record.state == "stopped" and self.record.epoch == self.stop.epoch + 1)

    @property
    def effective(self) -> ControlRecord:
        """The record that is in force."""
        if not self.stopped_here or self.stop is None:
            return self.record
        return self.record.model_copy(update={"state": "stopped", "share": 0.0, "reason": self.stop.reason})


class ControlRecordCache:
    """Poll the record every `poll_seconds` and keep it in `file`. Call `on_stopped` once a stop is in the bucket."""

    def __init__(
        self, source: Control, file: Path, poll_seconds: float, on_stopped: Callable[[], object] = lambda: None
    ) -> None:
        self._source, self._on_stopped = source, on_stopped
        self._file = file
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()
        self._cached = _load(file)
        self._wake = threading.Event()
        self._polled = threading.Event()
        self._closing = False
        self.failures = 0
        self.failure: str | None = None

    @property
    def cached(self) -> CachedRecord:
        with self._lock:
            return self._cached

    def start(self, timeout_seconds: float) -> None:
        """Start polling. Wait for the first poll up to the timeout, then go on with the stored record."""
        threading.Thread(target=self._run, name="control-record", daemon=True).start()
        self._polled.wait(timeout_seconds)

    def close(self) -> None:
        self._closing = True
        self._wake.set()

    def request_stop(self, epoch: int, reason: str) -> None:
        """Set the share of `epoch` to zero: here at once, in the bucket with the next poll."""
        self._store(CachedRecord(record=self.cached.record, stop=Stop(epoch=epoch, reason=reason)))
        self._wake.set()

    def poll(self) -> None:
        """Write a pending stop to the bucket, else read the record."""
        cached = self.cached
        try:
            if cached.stopped_here and cached.stop is not None:
                record = self._source.stop(cached.stop.epoch, cached.stop.reason)
                if record.state == "stopped":
                    self._on_stopped()
            else:
                record = self._source.read()
        except HomePricesError as error:
            self.failures += 1
            if self.failure is None:
                log.warning("control_record_unavailable", using="cached", error=str(error))
            self.failure = str(error)
            return
        self.failure = None
        if record != cached.record:
            self._store(CachedRecord(record=record, stop=self.cached.stop))

    def _run(self) -> None:
        while not self._closing:
            self.poll()
            self._polled.set()
            self._wake.wait(self._poll_seconds)
            self._wake.clear()

    def _store(self, cached: CachedRecord) -> None:
        with self._lock:
            self._cached = cached
            with contextlib.suppress(OSError):  # a full disk must not keep a record from coming into force
                write_atomic(self._file, cached.model_dump_json(indent=2))


def _load(file: Path) -> CachedRecord:
    try:
        return CachedRecord.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return CachedRecord()
