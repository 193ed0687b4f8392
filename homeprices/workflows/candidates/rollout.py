"""The phases of a candidate that meets visitors: how its experiment begins, and how it takes the steps of the ramp.

A decision to take a step is recorded before the control record changes, and names the epoch that it was made in. So a
run that dies in between leaves the step to its retry or to the next run, and the step is taken once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from homeprices.adapters.database import transaction
from homeprices.adapters.notifications import Notification
from homeprices.experiment import exposures, policies
from homeprices.experiment.decision_log import level_rule
from homeprices.experiment.policies.ramp import TAKEN, Step, first_step, phase_of
from homeprices.registry import versions
from homeprices.release import control_record, holds, phases
from homeprices.workflows.notify_once import notify_once

if TYPE_CHECKING:
    from homeprices.release.control_record import Clock
    from homeprices.release.experiment_record import ControlRecord
    from homeprices.resources import Resources


def begin(
    resources: Resources,
    policy: policies.AnyPolicy,
    production: str,
    candidate: str,
    actor: str,
    reason: str = "",
    clock: Clock = versions.utc_now,
) -> ControlRecord:
    """Start the experiment of a candidate in the first step of the policy's ramp, or as a trial, and return the record.

    Raises Conflict, and DatabaseUnavailable where the policy has a ramp or gives trials a level.
    """
    step = Step(resources.settings.candidate_share, "trial")
    if policy.ramp is not None:
        with transaction(resources.engine) as connection:
            step = first_step(policy.ramp, exposures.requests_a_day(connection, clock()), policy.longest)
    reason = f"{reason or f'{candidate} is tried on {step.share:g} % of the visitors'}{step.skipped and '.'}"
    return control_record.start_experiment(
        resources.bucket,
        production,
        candidate,
        step.share,
        actor,
        reason + step.skipped,
        clock=clock,
        level=level_rule(resources, policy),
        phase=step.phase,
    )


def take_step(resources: Resources, decision: Mapping[str, Any], actor: str, clock: Clock = versions.utc_now) -> None:
    """Take the step of the ramp that a recorded decision takes, if it does, and notify people once.

    A hold since the decision keeps the candidate where it is, and so does any other change of the share.
    """
    share = (decision.get("statistics") or {}).get(TAKEN)
    candidate = str(decision.get("candidate"))
    if share is None or holds.hold_on(resources.bucket, candidate) is not None:
        return
    phase = phase_of(share, policies.from_document(decision["policy_document"]).ramp)
    experiment, before = decision["experiment"], decision["evidence"]["ramp"]
    record = phases.take_step(
        resources.bucket, experiment, before["epoch"], share, phase, actor, decision["reason"], clock=clock
    )
    if (record.experiment, record.epoch, record.share) == (experiment, before["epoch"] + 1, share):
        title = f"{candidate} goes from {before['share']:g} to {share:g} % of the visitors ({phase})"
        notify_once(resources, f"ramp:{experiment}:{record.epoch}", Notification(title, decision["reason"]))
