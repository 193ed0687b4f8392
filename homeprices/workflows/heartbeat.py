"""The last success of each recurring workflow, kept in the bucket.

Alerts fire on its age. Airflow's callbacks are no substitute, because a killed process does not call them; nor is the
age of a bundle, because a successful training run may publish nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import ObjectNotFound

Process = Literal["training", "evaluation", "drift"]
PROCESSES: tuple[Process, ...] = get_args(Process)


class Heartbeat(BaseModel):
    """The last success of a workflow: time, outcome (`published CO2`, `continue`, ...) and run."""

    model_config = ConfigDict(frozen=True)

    process: Process
    at: AwareDatetime
    outcome: str = ""
    run: str = ""


def key(process: Process) -> str:
    """Return the key of a workflow's heartbeat."""
    return f"reports/runs/{process}.json"


def record_heartbeat(
    bucket: Bucket,
    process: Process,
    outcome: str = "",
    run: str = "",
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Heartbeat:
    """Record that `process` has just succeeded. The last writer wins. Raises StorageUnavailable."""
    beat = Heartbeat(process=process, at=now(), outcome=outcome, run=run)
    bucket.put(key(process), beat.model_dump_json(indent=2).encode())
    return beat


def last_heartbeat(bucket: Bucket, process: Process) -> Heartbeat | None:
    """Return the last heartbeat; None if there is none or it cannot be parsed. Raises StorageUnavailable."""
    try:
        return Heartbeat.model_validate_json(bucket.get(key(process)).body)
    except (ObjectNotFound, ValidationError):
        return None
