"""The serving side of the prediction log: record a prediction, record feedback, look up an id."""

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
from homeprices.predictions.identifiers import IdReserve, IssuedIds
from homeprices.predictions.spool import Spool
from homeprices.settings import Settings

# Normally a prediction is in PostgreSQL within this time.
SETTLE_SECONDS = 1.5
POLL_SECONDS = 0.1
# Threads that may wait for an id at the same time, so that the others stay free for predictions.
MOST_WAITING = 2

IssueStatus = Literal["issued", "never_issued", "undetermined"]


@dataclass(frozen=True)
class Prediction:
    """One prediction with its inputs. Prices in lakh rupees; `visitor` and `network` are keyed hashes.

    `returning_visitor`: the visitor's cookie came with the request.
    """

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
    network: str | None = None
    returning_visitor: bool | None = None


class PredictionLog:
    """The log of one process: its id reserve, its spool and its drain, and the ids that its machine issued."""

    def __init__(
        self,
        spool: Spool,
        issued: IssuedIds,
        engine: Engine,
        report: Callable[[DrainReport], None] = lambda _: None,
        months: int = KEPT_MONTHS,
    ) -> None:
        self.spool = spool
        self._issued = issued
        self._engine = engine
        self._ids = IdReserve()
        self._drain = Drain(spool, self._ids, engine, report, months)
        self._waiting_slots = threading.BoundedSemaphore(MOST_WAITING)

    def start(self) -> None:
        """Start the drain, which also reserves ids."""
        self._issued.open()
        self._drain.start()

    def close(self) -> None:
        """Drain what can be drained immediately; the rest stays on disk for the next process."""
        if self._drain.close():
            self.spool.close()
        self._issued.close()

    @property
    def database(self) -> DatabaseState:
        """Whether PostgreSQL answered the drain's last check."""
        return self._drain.database

    def record(self, prediction: Prediction) -> int | None:
        """Write a prediction to disk and return its id; None and no record if no id is left or the spool is full."""
        return self.record_many([prediction])[0]

    def record_many(self, predictions: Sequence[Prediction]) -> list[int | None]:
        """Write predictions to disk at once and return their ids in order; None for those that are not logged."""
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
        self._issued.add([number for number in numbers if number is not None])
        self._drain.wake()
        return numbers

    def record_feedback(
        self,
        feedback: Feedback,
        visitor: str | None,
        network: str | None = None,
        returning_visitor: bool | None = None,
    ) -> None:
        """Write feedback to disk; `visitor` and `network` are keyed hashes. Raises SpoolFull."""
        sender = {"visitor": visitor, "network": network, "returning_visitor": returning_visitor}
        row = {**sender, "ts": datetime.now(UTC), **feedback.model_dump()}
        self.spool.append("f", to_json(row))
        self._drain.wake()

    def issue_status(self, prediction_id: int) -> IssueStatus:
        """Return whether a prediction with this id was issued; `undetermined` while a replica's spool may hold it.

        At once if it was issued on this machine. The answer does not depend on which process has issued or reserved
        the id, because it would show which variant a visitor's feedback was sent to. Waits up to `SETTLE_SECONDS` for
        an id that another machine may have just issued, unless `MOST_WAITING` threads wait already. The drain decides
        undetermined ids later.
        """
        if prediction_id in self._issued:
            return "issued"
        if self.database == "down":
            return "undetermined"
        try:
            return self._look_up(prediction_id)
        except DatabaseUnavailable:
            return "undetermined"

    def holds_exposure(self, prediction_id: int, visitor: str) -> bool:
        """Return whether PostgreSQL holds this prediction of this returning visitor, a keyed hash.

        Waits up to `SETTLE_SECONDS` for one that was just issued, unless `MOST_WAITING` threads wait already. Raises
        DatabaseUnavailable.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        if self._is_exposure(prediction_id, visitor):
            return True
        if not self._waiting_slots.acquire(blocking=False):
            return False
        try:
            while not (found := self._is_exposure(prediction_id, visitor)) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        finally:
            self._waiting_slots.release()
        return found

    def _is_exposure(self, prediction_id: int, visitor: str) -> bool:
        with transaction(self._engine) as connection:
            return identifiers.was_exposed(connection, prediction_id, visitor)

    def _look_up(self, prediction_id: int) -> IssueStatus:
        started_at, deadline = time.time(), time.monotonic() + SETTLE_SECONDS
        status = self._status(prediction_id, started_at)
        if status != "undetermined" or not self._waiting_slots.acquire(blocking=False):
            return status
        try:
            while status == "undetermined" and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                status = self._status(prediction_id, started_at)
            return status
        finally:
            self._waiting_slots.release()

    def _status(self, prediction_id: int, started_at: float) -> IssueStatus:
        with transaction(self._engine) as connection:
            lookup = identifiers.look_up_id(connection, prediction_id)
        if lookup.stored:
            return "issued"
        if not lookup.reserved:
            return "never_issued"
        # The segments of a killed worker are drained in any order, by the process that adopts them.
        never_issued = lookup.passed_over and not self.spool.holds_from_before(started_at)
        return "never_issued" if never_issued else "undetermined"


def open_prediction_log(
    settings: Settings, engine: Engine, report: Callable[[DrainReport], None] = lambda _: None
) -> PredictionLog:
    """Return the prediction log of the settings, not yet started."""
    folder = settings.instance_dir / "spool"
    spool = Spool(folder, limit_bytes=settings.spool_limit_bytes, fsync=settings.spool_fsync)
    issued = IssuedIds(settings.state_dir / "issued_ids")  # of both variants, if they share the folder
    return PredictionLog(spool, issued, engine, report, settings.log_months)
