"""The prediction log as serving sees it: record an estimate, record what a visitor says of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic_core import to_json
from sqlalchemy import Engine

from homeprices.adapters.database import transaction
from homeprices.errors import DatabaseUnavailable, SpoolFull
from homeprices.names import Variant
from homeprices.predictions import identifiers
from homeprices.predictions.drain import KEPT_MONTHS, DatabaseState, Drain, DrainReport
from homeprices.predictions.feedback import Feedback
from homeprices.predictions.identifiers import IdReserve
from homeprices.predictions.spool import Spool
from homeprices.settings import Settings

# A prediction that was answered a moment ago is in PostgreSQL after this, unless something is wrong.
SETTLE_SECONDS = 1.5
LOOK_SECONDS = 0.1
# Threads that may wait for an id at one time; the others are needed for visitors who ask for estimates.
MOST_WAITING = 2

IssueStatus = Literal["issued", "never_issued", "undetermined"]


@dataclass(frozen=True)
class Prediction:
    """An answer with what led to it. Prices in lakh rupees; `visitor` is a keyed hash."""

    request_id: str
    visitor: str | None
    assigned_variant: Variant | None
    served_variant: Variant
    fallback: bool
    bundle: str
    epoch: int | None
    inputs: dict[str, Any]
    estimate: float
    interval_low: float
    interval_high: float
    milliseconds: float


class PredictionLog:
    """The log of one process: its ids, its spool, and the thread that drains it."""

    def __init__(
        self,
        spool: Spool,
        engine: Engine,
        report: Callable[[DrainReport], None] = lambda _: None,
        months: int = KEPT_MONTHS,
    ) -> None:
        self.spool = spool
        self._engine = engine
        self._ids = IdReserve()
        self._drain = Drain(spool, self._ids, engine, report, months)
        self._places_to_wait = threading.BoundedSemaphore(MOST_WAITING)

    def start(self) -> None:
        """Reserve ids and begin to drain, in the background."""
        self._drain.start()

    def close(self) -> None:
        """Drain what can be drained at once; the rest stays on disk for the next process."""
        if self._drain.close():
            self.spool.close()

    @property
    def database(self) -> DatabaseState:
        """Whether PostgreSQL answered when the drain last asked it."""
        return self._drain.database

    def record(self, prediction: Prediction) -> int | None:
        """Put an answer on disk and return its id; None when there is no id or no place, and then it is not logged."""
        return self.record_many([prediction])[0]

    def record_many(self, predictions: Sequence[Prediction]) -> list[int | None]:
        """Put answers on disk with one write and return their ids in order; None for those that are not logged."""
        if not predictions:
            return []
        numbers = [self._ids.take() for _ in predictions]
        now = datetime.now(UTC)
        rows = [
            to_json({"id": number, "ts": now, **vars(prediction)})
            for number, prediction in zip(numbers, predictions, strict=True)
            if number is not None
        ]
        try:
            self.spool.append_many("p", rows)
        except SpoolFull:
            return [None] * len(predictions)
        self._drain.wake()
        return numbers

    def record_feedback(self, feedback: Feedback, visitor: str | None) -> None:
        """Put a remark on disk; `visitor` is a keyed hash. Raises SpoolFull."""
        row = {"visitor": visitor, "ts": datetime.now(UTC), **feedback.model_dump()}
        self.spool.append("f", to_json(row))
        self._drain.wake()

    def issue_status(self, prediction_id: int) -> IssueStatus:
        """Whether an estimate of this id was given out; `undetermined` while a spool of any replica may hold it.

        One that another process gave a moment ago is waited for, unless too many wait already: the drain will tell.
        """
        if self._ids.was_issued(prediction_id):
            return "issued"
        if self._ids.owns(prediction_id):
            return "never_issued"
        if self.database == "down":
            return "undetermined"
        try:
            return self._look_up(prediction_id)
        except DatabaseUnavailable:
            return "undetermined"

    def _look_up(self, prediction_id: int) -> IssueStatus:
        asked_at, deadline = time.time(), time.monotonic() + SETTLE_SECONDS
        found = self._trace(prediction_id, asked_at)
        if found != "undetermined" or not self._places_to_wait.acquire(blocking=False):
            return found
        try:
            while found == "undetermined" and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
                found = self._trace(prediction_id, asked_at)
            return found
        finally:
            self._places_to_wait.release()

    def _trace(self, prediction_id: int, asked_at: float) -> IssueStatus:
        with transaction(self._engine) as connection:
            trace = identifiers.look_up_id(connection, prediction_id)
        if trace.stored:
            return "issued"
        if not trace.reserved:
            return "never_issued"
        # What a killed worker left may be drained in any order, by whoever adopts it.
        never = trace.passed_over and not self.spool.holds_from_before(asked_at)
        return "never_issued" if never else "undetermined"


def open_prediction_log(
    settings: Settings, engine: Engine, report: Callable[[DrainReport], None] = lambda _: None
) -> PredictionLog:
    """The prediction log of the settings, not yet started."""
    folder = settings.instance_dir / "spool"
    spool = Spool(folder, limit_bytes=settings.spool_limit_bytes, fsync=settings.spool_fsync)
    return PredictionLog(spool, engine, report, settings.log_months)
