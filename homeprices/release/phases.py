"""Which models are in which phase, and changes of the phase of a running experiment: the next step, a repetition.

Each change is one of the control record, made once: the evaluation names the epoch that it decided on, and a person's
action that is repeated with the same reason has no other effect. Metric, status and operations page read the phases
here, from the bucket alone, so that they have the same word while the database is away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import Conflict, HomePricesError, ObjectNotFound
from homeprices.names import BUNDLE_KIND, Phase
from homeprices.registry import bundle_reader, regional_record
from homeprices.registry.versions import utc_now
from homeprices.release import candidate_queue, control_record
from homeprices.release.control_record import Clock, change
from homeprices.release.experiment_record import ControlRecord, first_epoch, with_share

BAKE_KEY = "control/bake.json"
SHADOW_KEY = "control/in-shadow.json"
MOST_BAKES = 10  # entries; those that no longer are in production leave first
LONGEST_COMPARISON = timedelta(hours=1)
"""In shadow, of which most are over in half a minute; after that its process has died."""


class Stay(BaseModel):
    """The run whose draft is in shadow: `model` is None when none is, and `until` when the stay ends at the latest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None
    until: datetime | None


_Record = TypeVar("_Record", bound=BaseModel)
NOT_IN_SHADOW = Stay(model=None, until=None)


class Bakes(BaseModel):
    """When the bake window of each production bundle that is watched ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    until: dict[str, datetime]


def models_in(bucket: Bucket, now: datetime) -> dict[Phase, str]:
    """Return which models are in each phase; a phase without a model is left out."""
    found: dict[Phase, str] = {}
    compared = _in_shadow(bucket)
    if compared.model and compared.until is not None and now <= compared.until:
        found["shadow"] = compared.model
    if waiting := candidate_queue.why_waiting(bucket):
        found["waiting"] = ", ".join(waiting)
    record = control_record.read(bucket)
    if record.candidate:
        found[record.phase or "trial"] = record.candidate
    if bakes := bake(bucket, now):
        found["bake"] = ", ".join(bakes)
    return found


def bake(bucket: Bucket, now: datetime) -> dict[str, datetime]:
    """Return the bundles of production, general and regional, in their bake window, with when that ends."""
    found = _read(bucket, BAKE_KEY, Bakes) or Bakes(until={})
    if not found.until:
        return {}
    serving = (bundle_reader.highest(bucket, BUNDLE_KIND["production"]), *regional_record.read(bucket).versions)
    return {version: until for version, until in found.until.items() if version in serving and now <= until}


def record_bake(bucket: Bucket, version: str, until: datetime | None) -> None:
    """Record that a bundle of production is watched until then, None if it is not; write only a change.

    The next evaluation repairs a change that two writers at once have lost.
    """
    before = _read(bucket, BAKE_KEY, Bakes) or Bakes(until={})
    bakes = {name: end for name, end in before.until.items() if name != version}
    after = Bakes(until=bakes if until is None else {**bakes, version: until})
    if after != before:
        newest = dict(list(after.until.items())[-MOST_BAKES:])
        bucket.put(BAKE_KEY, Bakes(until=newest).model_dump_json(indent=2).encode())


@contextmanager
def in_shadow(bucket: Bucket, run: str, now: datetime) -> Iterator[None]:
    """Record while the draft of a run is compared in shadow."""
    mine = Stay(model=run, until=now + LONGEST_COMPARISON)
    bucket.put(SHADOW_KEY, mine.model_dump_json(indent=2).encode())
    try:
        yield
    finally:
        if _in_shadow(bucket) == mine:  # otherwise another run has begun since
            bucket.put(SHADOW_KEY, NOT_IN_SHADOW.model_dump_json(indent=2).encode())


def _in_shadow(bucket: Bucket) -> Stay:
    return _read(bucket, SHADOW_KEY, Stay) or NOT_IN_SHADOW


def _read(bucket: Bucket, key: str, schema: type[_Record]) -> _Record | None:
    try:
        return schema.model_validate_json(bucket.get(key).body)
    except ObjectNotFound:
        return None
    except ValidationError as error:
        raise HomePricesError(f"{key} names no phase: {error.errors()[0]['msg']}") from error


def take_step(
    bucket: Bucket,
    experiment: str,
    epoch: int,
    share: float,
    phase: Phase,
    actor: str,
    reason: str,
    *,
    clock: Clock = utc_now,
) -> ControlRecord:
    """Give the candidate the share of the next step; change nothing if the experiment has left that epoch or stopped.

    Return the record.
    """

    def step(record: ControlRecord) -> ControlRecord:
        if (record.experiment, record.epoch, record.state) != (experiment, epoch, "running"):
            return record
        return with_share(record, share, "running", clock(), phase=phase)

    return change(bucket, step, actor, reason, clock)


def repeat(bucket: Bucket, actor: str, reason: str, *, clock: Clock = utc_now) -> ControlRecord:
    """Begin the present step of the ramp again, or the trial from nothing, with the same share and visitors.

    A trial that begins again gets half of its level, as one against another production does. Raises Conflict when no
    experiment is running.
    """

    def begin(record: ControlRecord) -> ControlRecord:
        if record.state != "running":
            raise Conflict("no experiment is running, so there is no phase to repeat")
        if done_before(record, actor, reason):
            return record
        if record.phase == "ramp":
            return with_share(record, record.share, "running", clock())
        level = record.level and record.level / 2  # policies/year.py
        production, candidate = str(record.production), str(record.candidate)
        salt, share, places, regional = record.salt, record.share, record.places, record.regional
        return first_epoch(
            record, production, candidate, salt, share, clock(), "running", level, places=places, regional=regional
        )

    return change(bucket, begin, actor, reason, clock)


def done_before(record: ControlRecord, actor: str, reason: str) -> bool:
    """Return whether the last change is this action of a person, which a retry or the person repeats."""
    return (record.updated_by, record.reason) == (actor, reason)
