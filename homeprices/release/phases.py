"""Changes of the phase of a running experiment: the next step of the ramp, a step or trial that a person repeats.

Each is one change of the control record, made once: the evaluation names the epoch that it decided on, and a person's
action that is repeated with the same reason has no other effect.
"""

from __future__ import annotations

from homeprices.adapters.object_store import Bucket
from homeprices.errors import Conflict
from homeprices.names import Phase
from homeprices.registry.versions import utc_now
from homeprices.release.control_record import Clock, change
from homeprices.release.experiment_record import ControlRecord, first_epoch, with_share


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
