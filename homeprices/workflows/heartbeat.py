"""When each recurring process last came to a good end, in the bucket.

A process that was killed cannot say so, and a training that ends well may publish nothing: neither Airflow's callbacks
nor the age of a bundle tells whether the process works. Its last step leaves a note here, and the absence of a fresh
note is what an alert rests on.
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
    """The last good end of a process: when, and in which of its outcomes (`published CO2`, `continue`, ...)."""

    model_config = ConfigDict(frozen=True)

    process: Process
    at: AwareDatetime
    outcome: str = ""
    run: str = ""


def key(process: Process) -> str:
    """Where the note of a process lies."""
    return f"reports/runs/{process}.json"


def record_heartbeat(
    bucket: Bucket,
    process: Process,
    outcome: str = "",
    run: str = "",
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Heartbeat:
    """Note that `process` has just ended well. The last writer wins. Raises StorageUnavailable."""
    note = Heartbeat(process=process, at=now(), outcome=outcome, run=run)
    bucket.put(key(process), note.model_dump_json(indent=2).encode())
    return note


def last_heartbeat(bucket: Bucket, process: Process) -> Heartbeat | None:
    """The last note of a process; None when there is none, or none that can be read. Raises StorageUnavailable."""
    try:
        return Heartbeat.model_validate_json(bucket.get(key(process)).body)
    except (ObjectNotFound, ValidationError):
        return None
