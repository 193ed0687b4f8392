"""The control record near at hand: read in a thread of its own, so that a bucket that hangs never stops the router.

The last record that was read lies in a file and holds while the bucket is away, also after a restart of the agent. A
stop that the circuit breaker asked for holds from that moment on; the bucket is told as soon as it answers.
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
from homeprices.log import get_logger
from homeprices.release import control_record
from homeprices.release.control_record import ControlRecord
from router.render import write_whole

ACTOR = "router"
log = get_logger(__name__)


class Control(Protocol):
    """What the router asks of the place where the record lies."""

    def read(self) -> ControlRecord:
        """The record. Raises HomePricesError."""

    def stop(self, epoch: int, reason: str) -> ControlRecord:
        """Take the share of this epoch to zero, unless another epoch has begun. Raises HomePricesError."""


class BucketControl:
    """The record in the bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def read(self) -> ControlRecord:
        return control_record.read(self._bucket)

    def stop(self, epoch: int, reason: str) -> ControlRecord:
        record = control_record.read(self._bucket)
        return control_record.stop_share(self._bucket, ACTOR, reason) if record.epoch == epoch else record


class Stop(BaseModel):
    """A stop of the share that the bucket may not have been told yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    reason: str


class CachedRecord(BaseModel):
    """What is known here: the last record, and the breaker's own word against it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    record: ControlRecord = ControlRecord()
    stop: Stop | None = None

    @property
    def stopped_here(self) -> bool:
        """Whether the breaker's stop still has to overrule the record."""
        return self.stop is not None and self.stop.epoch == self.record.epoch and self.record.state == "running"

    @property
    def breaker_open(self) -> bool:
        """Whether the share is zero because the breaker said so; a person who sets it again closes the breaker."""
        if self.stop is None:
            return False
        return self.stopped_here or (self.record.state == "stopped" and self.record.epoch == self.stop.epoch + 1)

    @property
    def effective(self) -> ControlRecord:
        """The record that the router obeys."""
        if not self.stopped_here or self.stop is None:
            return self.record
        return self.record.model_copy(update={"state": "stopped", "share": 0.0, "reason": self.stop.reason})


class ControlRecordCache:
    """Polls the record every `poll_seconds` and keeps it in `file`; calls `told` once the bucket knows of a stop."""

    def __init__(
        self, source: Control, file: Path, poll_seconds: float, told: Callable[[], object] = lambda: None
    ) -> None:
        self._source, self._told = source, told
        self._file = file
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()
        self._held = _load(file)
        self._wake = threading.Event()
        self._polled = threading.Event()
        self._closing = False
        self.failures = 0
        self.failure: str | None = None

    @property
    def held(self) -> CachedRecord:
        with self._lock:
            return self._held

    def start(self, patience_seconds: float) -> None:
        """Begin to poll; wait at most so long for the first answer, and go on with what the file holds without it."""
        threading.Thread(target=self._run, name="control record", daemon=True).start()
        self._polled.wait(patience_seconds)

    def close(self) -> None:
        self._closing = True
        self._wake.set()

    def ask_stop(self, epoch: int, reason: str) -> None:
        """Stop the share of `epoch`: here at once, in the bucket soon."""
        self._keep(CachedRecord(record=self.held.record, stop=Stop(epoch=epoch, reason=reason)))
        self._wake.set()

    def poll(self) -> None:
        """One round: tell the bucket of a stop it has not heard of, else read the record."""
        held = self.held
        try:
            if held.stopped_here and held.stop is not None:
                record = self._source.stop(held.stop.epoch, held.stop.reason)
                if record.state == "stopped":
                    self._told()
            else:
                record = self._source.read()
        except HomePricesError as error:
            self.failures += 1
            if self.failure is None:
                log.warning("control record unavailable, the last one holds", error=str(error))
            self.failure = str(error)
            return
        self.failure = None
        if record != held.record:
            self._keep(CachedRecord(record=record, stop=self.held.stop))

    def _run(self) -> None:
        while not self._closing:
            self.poll()
            self._polled.set()
            self._wake.wait(self._poll_seconds)
            self._wake.clear()

    def _keep(self, held: CachedRecord) -> None:
        with self._lock:
            self._held = held
            with contextlib.suppress(OSError):  # a full disk must not keep the router from obeying
                write_whole(self._file, held.model_dump_json(indent=2))


def _load(file: Path) -> CachedRecord:
    try:
        return CachedRecord.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return CachedRecord()
