"""The drain: a thread that moves records from the spool to PostgreSQL, oldest first, and refills the id reserve.

While PostgreSQL is unavailable, it retries with growing pauses and discards nothing. A record that PostgreSQL rejects
for its content goes to the dead-letter file `refused.jsonl` and is counted, so that it does not block the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from homeprices.adapters.database import transaction
from homeprices.errors import DatabaseUnavailable
from homeprices.log import get_logger
from homeprices.predictions.identifiers import IdReserve, reserve
from homeprices.predictions.ingest import insert_batch
from homeprices.predictions.retention import enforce_retention
from homeprices.predictions.spool import Spool
from homeprices.predictions.spool_segments import Record, Segment, decode

log = get_logger(__name__)

BATCH_RECORDS = 1000
COLLECT_SECONDS = 0.2
"""How long records accumulate before a pass, because a batch costs little more than one record."""

IDLE_SECONDS = 5.0  # how often an idle process adopts orphaned segments and checks PostgreSQL
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 5.0
REFUSED_FILE = "refused.jsonl"
RETENTION_EVERY_SECONDS = 3600.0
KEPT_MONTHS = 24

DatabaseState = Literal["up", "down", "unknown"]


@dataclass(frozen=True)
class DrainReport:
    """The counts of one pass, and the state of the spool after it.

    `torn` records were cut off by a crash and never acknowledged. `dropped` feedback refers to ids that were never
    issued.
    """

    database: DatabaseState
    stored: int
    refused: int
    torn: int
    dropped: int
    spool_bytes: int
    spool_records: int
    oldest_seconds: float


class Drain:
    """Runs in its own thread between `start` and `close`; `run_once` makes a single pass, for tests."""

    def __init__(
        self,
        spool: Spool,
        ids: IdReserve,
        engine: Engine,
        report: Callable[[DrainReport], None] = lambda _: None,
        months: int = KEPT_MONTHS,
    ) -> None:
        self._spool = spool
        self._ids = ids
        self._engine = engine
        self._report = report
        self._months = months
        self._has_work = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self._pause = FIRST_PAUSE_SECONDS
        self._refreshed_at = self._retention_at = float("-inf")
        self._stored = self._refused = self._torn = self._dropped = 0
        self.database: DatabaseState = "unknown"

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Signal that there is a new record."""
        self._has_work.set()

    def close(self, timeout_seconds: float = 3.0) -> bool:
        """Make a last pass and stop; return False on timeout. Records that are not drained stay on disk."""
        self._closing.set()
        self._has_work.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def run_once(self) -> bool:
        """Move all records that are in the spool now; return False when PostgreSQL did not store all of them."""
        try:
            self._refresh()
            self._drain_all()
            self._spool.rotate()
            self._drain_all()
        except (DatabaseUnavailable, SQLAlchemyError, OSError) as error:
            self._report_state("down", error)
            return False
        return True

    def _run(self) -> None:
        while True:
            last = self._closing.is_set()
            done = self.run_once()
            if last:
                return
            if done:
                self._pause = FIRST_PAUSE_SECONDS
                self._has_work.wait(IDLE_SECONDS)
                self._closing.wait(COLLECT_SECONDS)
                self._has_work.clear()
            else:
                self._closing.wait(self._pause)
                self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def _refresh(self) -> None:
        """Adopt orphaned segments, reserve ids and check PostgreSQL: when needed, otherwise every `IDLE_SECONDS`."""
        due = time.monotonic() - self._refreshed_at >= IDLE_SECONDS or self.database != "up"
        missing = self._ids.missing_blocks()
        if due:
            self._spool.adopt()
        if missing or due:
            with transaction(self._engine) as connection:
                connection.execute(text("SELECT 1"))
                blocks = reserve(connection, missing) if missing else []
            self._ids.add(blocks)
            self._refreshed_at = time.monotonic()
            self._report_state("up")
            self._enforce_retention()

    def _enforce_retention(self) -> None:
        """Create and drop monthly partitions, hourly. It may fail, because a default partition takes the other rows."""
        if time.monotonic() - self._retention_at < RETENTION_EVERY_SECONDS:
            return
        self._retention_at = time.monotonic()
        try:
            changes = enforce_retention(self._engine, self._months)
        except (DatabaseUnavailable, SQLAlchemyError) as error:
            log.warning("retention_failed", reason=str(error))
            return
        self._dropped += changes.unmatched
        if changes.made or changes.dropped:
            log.info("partitions_changed", made=changes.made, dropped=changes.dropped)

    def _drain_all(self) -> None:
        for segment in self._spool.full_segments():
            for batch in self._batches(segment):
                started = time.monotonic()
                self._refresh()
                self._store(batch)
                self._report_state("up")
                if len(batch) == BATCH_RECORDS and not self._closing.is_set():
                    time.sleep(time.monotonic() - started)  # a backlog takes at most half of the time
            self._spool.delete(segment)
            self._report_state("up")

    def _batches(self, segment: Segment) -> Iterator[list[Record]]:
        batch: list[Record] = []
        for line in segment.lines():
            record = decode(line)
            if record is None:
                self._torn += 1
                continue
            batch.append(record)
            if len(batch) == BATCH_RECORDS:
                yield batch
                batch = []
        if batch:
            yield batch

    def _store(self, batch: list[Record]) -> None:
        try:
            with transaction(self._engine) as connection:
                dropped = insert_batch(connection, batch)
        except (DataError, IntegrityError):
            if len(batch) == 1:
                self._dead_letter(batch[0])
                return
            for record in batch:
                self._store([record])
            return
        self._stored += len(batch) - dropped
        self._dropped += dropped

    def _dead_letter(self, record: Record) -> None:
        """Append a record that PostgreSQL rejects to the dead-letter file. Raises OSError."""
        with (self._spool.folder / REFUSED_FILE).open("ab") as file:
            file.write(record.body + b"\n")
        self._refused += 1
        log.error("record_rejected", kind=record.kind, file=REFUSED_FILE)

    def _report_state(self, database: DatabaseState, error: Exception | None = None) -> None:
        if database != self.database:
            if error:
                log.warning("database_down", reason=str(error))
            else:
                log.info("database_up")
        self.database = database
        self._report(
            DrainReport(
                database=database,
                stored=self._stored,
                refused=self._refused,
                torn=self._torn,
                dropped=self._dropped,
                spool_bytes=self._spool.size_bytes,
                spool_records=self._spool.records,
                oldest_seconds=self._spool.oldest_seconds(time.time()),
            )
        )
        self._stored = self._refused = self._torn = self._dropped = 0
