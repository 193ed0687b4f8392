"""Manual actions of a person: hold, resume, skip, repeat, promote, ... They take effect at once, on record.

An action takes effect even if the database, MLflow and Airflow are unavailable. The report then names the systems that
were not informed. Repeating the action informs them, and has no other effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.adapters.database import transaction
from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.adapters.notifications import Notification
from homeprices.errors import Conflict, HomePricesError
from homeprices.experiment import policies
from homeprices.experiment.decision_log import record_manual_action, record_result
from homeprices.experiment.policies.ramp import phase_of
from homeprices.names import BUNDLE_KIND, CANDIDATE_WANTED_ASSET, REGIONAL_KIND
from homeprices.registry import bundle_reader, mlflow_mirror, regional_record, versions
from homeprices.release import candidate_queue, control_record, experiment_record, holds, phases, promotion
from homeprices.release.replicas import wait_for_version
from homeprices.workflows.notify_once import notify_once

if TYPE_CHECKING:
    from homeprices.adapters.object_store import Bucket
    from homeprices.resources import Resources


ACTIONS = ("hold", "resume", "skip", "repeat", "promote", "roll back", "revert", "share")


@dataclass
class ActionReport:
    """The effects of an action, one sentence each, and the systems that were not informed."""

    done: list[str] = field(default_factory=list)
    not_propagated: list[str] = field(default_factory=list)


def promote(
    resources: Resources, candidate: str | None, actor: str, reason: str, *, regional: bool = False
) -> ActionReport:
    """Publish the candidate as the next production bundle, regardless of the experiment.

    `regional`: for the places of its trial only. Raises Conflict if its trial is in the whole city.
    """
    from homeprices.workflows.candidates import trial_places

    candidate = candidate or _candidate(resources)
    places = trial_places.places_of(resources.bucket, candidate) if regional else ()
    report, action = ActionReport(), _decided(resources, candidate, "promote", actor, reason, places)
    wait = partial(wait_for_version, resources.settings, "production")
    version = promotion.promote(resources.bucket, candidate, wait, actor, reason, places=places)
    where = f" {experiment_record.in_places(places)}" if places else ""
    report.done.append(f"{candidate} is in production as {version}{where}.")
    action.record(report, version)
    _propagate(resources, report, reason, want_candidate=True, new=version)
    return report


def roll_back(resources: Resources, candidate: str | None, actor: str, reason: str) -> ActionReport:
    """End the trial and archive the candidate, regardless of the experiment; withdraw one that waits."""
    candidate = candidate or _candidate(resources)
    if promotion.outcome_of(resources.bucket, candidate) == "withdraw" or _no_visitor_yet(resources, candidate):
        from homeprices.workflows.candidates import by_hand

        return by_hand.withdraw(resources, candidate, actor, reason)
    report, action = ActionReport(), _decided(resources, candidate, "rollback", actor, reason)
    promotion.roll_back(resources.bucket, candidate, actor, reason)
    report.done.append(f"{candidate} is rolled back; all visitors are with production.")
    action.record(report)
    _propagate(resources, report, reason, want_candidate=True)
    return report


def revert(resources: Resources, to: str, actor: str, reason: str) -> ActionReport:
    """Publish an earlier production bundle as the next one; take a regional one (`RO`) out of production."""
    if versions.kind_of(to) == REGIONAL_KIND:
        return _take_back(resources, to, actor, reason)
    report = ActionReport()
    wait = partial(wait_for_version, resources.settings, "production")
    version = promotion.revert(resources.bucket, to, wait, actor, reason)
    report.done.append(f"{to} is in production again, as {version}.")
    published = bundle_reader.published(resources.bucket, BUNDLE_KIND["production"])
    replaced = [name for name in published if name != version][-1]
    ManualAction(resources, "revert", f"person:revert:{version}", replaced, to, actor, reason).record(report, version)
    _propagate(resources, report, reason, want_candidate=False, new=version)
    return report


def _take_back(resources: Resources, version: str, actor: str, reason: str) -> ActionReport:
    report = ActionReport()
    wait = partial(wait_for_version, resources.settings, "production", gone=True)
    general = promotion.take_back(resources.bucket, version, wait, actor, reason)
    report.done.append(f"{version} is taken back; its places get what they had before.")
    key = f"person:revert:{version}"
    ManualAction(resources, "revert", key, version, general, actor, reason).record(report, general)
    _propagate(resources, report, reason, want_candidate=False)
    return report


def hold(resources: Resources, version: str | None, actor: str, reason: str) -> ActionReport:
    """Prevent automatic actors from ending the candidate's trial, reverting production, or leaving shadow."""
    report, held = ActionReport(), holds.set_hold(resources.bucket, version, actor, reason)
    report.done.append(f"{held}.")
    note(
        resources, report, "hold", f"person:hold:{held.version}:{held.at.isoformat()}", held.version, held.actor, reason
    )
    return report


def resume(resources: Resources, actor: str, reason: str) -> ActionReport:
    """Lift the holds, of a bundle and of the phase `shadow`."""
    report = ActionReport()
    for held in (holds.lift(resources.bucket), holds.lift(resources.bucket, holds.SHADOW_KEY)):
        if held is not None:
            report.done.append(f"{held.version} is no longer held.")
            key = f"person:resume:{held.version}:{held.at.isoformat()}"
            note(resources, report, "resume", key, held.version, actor, reason)
    return report if report.done else ActionReport(["Nothing was held."])


def skip(resources: Resources, version: str | None, actor: str, reason: str) -> ActionReport:
    """End the present step of the candidate's ramp, or the bake window of a production bundle, or skip shadow."""
    if version and _no_visitor_yet(resources, version):
        from homeprices.workflows.candidates import by_hand

        return by_hand.skip_shadow(resources, version, actor, reason)
    record, report = control_record.read(resources.bucket), ActionReport()
    if (production := _production(resources.bucket, record, version)) is not None:
        return _bake(resources, "skip", production, actor, reason)
    if not phases.done_before(record, actor, reason):
        steps = policies.load(resources.settings.policy).ramp
        share = next((step.share for step in steps or () if step.share > record.share), record.share)
        if record.phase != "ramp" or record.state != "running":
            raise Conflict(f"{record.candidate} is not in a ramp; `promote` and `roll back` end a trial")
        phase = phase_of(share, steps)
        record = phases.take_step(resources.bucket, str(record.experiment), record.epoch, share, phase, actor, reason)
    report.done.append(f"{record.candidate} gets {record.share:g} % of the visitors ({record.phase}).")
    key = f"person:skip:{record.experiment}:{record.epoch}"
    note(resources, report, "skip", key, str(record.candidate), actor, reason)
    return report


def repeat(resources: Resources, version: str | None, actor: str, reason: str) -> ActionReport:
    """Begin the present step of the ramp, the trial, the bake window of a production bundle, or shadow again."""
    if version and _no_visitor_yet(resources, version):
        from homeprices.workflows.candidates import by_hand

        return by_hand.repeat_shadow(resources, version, actor, reason)
    record, report = control_record.read(resources.bucket), ActionReport()
    if (production := _production(resources.bucket, record, version)) is not None:
        return _bake(resources, "repeat", production, actor, reason)
    record = phases.repeat(resources.bucket, actor, reason)
    report.done.append(f"{record.candidate} begins its {record.phase} with {record.share:g} % of the visitors again.")
    key = f"person:repeat:{record.experiment}:{record.epoch}"
    note(resources, report, "repeat", key, str(record.candidate), actor, reason)
    return report


def _no_visitor_yet(resources: Resources, version: str) -> bool:
    """Return whether an action is about the phase `shadow`, or a candidate that waits."""
    return version == holds.SHADOW or version in candidate_queue.waiting(resources.bucket)


def _production(bucket: Bucket, record: experiment_record.ControlRecord, version: str | None) -> str | None:
    """Return the production bundle that an action is about, None if it is about the candidate. Raises Conflict."""
    if version in (None, record.candidate) and record.candidate is not None:
        return None
    if version is not None and version in regional_record.read(bucket).versions:
        return version
    if record.production is None or version not in (None, record.production):
        raise Conflict(f"{version or 'nothing'} is neither on trial nor in production")
    return record.production


def _bake(
    resources: Resources, outcome: Literal["skip", "repeat"], version: str, actor: str, reason: str
) -> ActionReport:
    """Record that the bake window of a production bundle ends now, or begins now. Raises DatabaseUnavailable."""
    from homeprices.workflows import auto_revert

    said = "is no longer watched" if outcome == "skip" else "begins its bake window again"
    report = ActionReport([f"{version} {said}."])
    key = f"person:{outcome}:{version}:{hashlib.sha256(f'{actor}:{reason}'.encode()).hexdigest()[:16]}"
    with transaction(resources.engine) as connection:
        record_manual_action(
            connection, key, outcome=outcome, production=version, candidate=version, reason=reason, actor=actor
        )
        until = auto_revert.bake_end(resources, connection, version)
    phases.record_bake(resources.bucket, version, until)
    notify_once(resources, key, Notification(report.done[0], reason))
    return report


def share(resources: Resources, percent: float, actor: str, reason: str) -> ActionReport:
    """Give the candidate a share of the visitors, in percent; 0 stops it. The control record holds who did, and why."""
    record = control_record.set_share(resources.bucket, percent, actor, reason)
    if record.candidate is None:
        raise Conflict("no experiment is running, so there is no share to set")
    given = f"{record.candidate} gets {record.share:g} % of the visitors from epoch {record.epoch} on."
    return ActionReport([given])


def note(
    resources: Resources,
    report: ActionReport,
    outcome: Literal["hold", "resume", "skip", "repeat"],
    key: str,
    version: str,
    actor: str,
    reason: str,
) -> None:
    """Record an action that ends no trial, and notify people."""
    ManualAction(
        resources, outcome, key, control_record.read(resources.bucket).production or "none", version, actor, reason
    ).record(report)
    notify_once(resources, key, Notification(report.done[0], reason))


@dataclass(frozen=True)
class ManualAction:
    """A manual action as it is recorded."""

    resources: Resources
    outcome: Literal["promote", "rollback", "revert", "hold", "resume", "skip", "repeat"]
    key: str
    production: str
    candidate: str
    actor: str
    reason: str

    def record(self, report: ActionReport, version: str | None = None) -> None:
        """Record the action with the resulting version; an unavailable database is noted in the report."""
        with _propagated(report, "not on record"), transaction(self.resources.engine) as connection:
            record_manual_action(
                connection,
                self.key,
                outcome=self.outcome,
                production=self.production,
                candidate=self.candidate,
                reason=self.reason,
                actor=self.actor,
            )
            if version:
                record_result(connection, self.key, version)


def _decided(
    resources: Resources,
    candidate: str,
    outcome: Literal["promote", "rollback"],
    actor: str,
    reason: str,
    places: tuple[str, ...] = (),
) -> ManualAction:
    """Claim the outcome and record it, if the database answers, before it takes effect: a later run can finish it."""
    opponent = promotion.opponent_of(resources.bucket, candidate)
    promotion.claim_outcome(resources.bucket, candidate, outcome, actor, reason, places=places)
    action = ManualAction(resources, outcome, f"person:{outcome}:{candidate}", opponent, candidate, actor, reason)
    action.record(ActionReport())
    return action


def _propagate(
    resources: Resources, report: ActionReport, reason: str, *, want_candidate: bool, new: str | None = None
) -> None:
    with _propagated(report, "not in MLflow, which follows at the next release"):
        mlflow_mirror.sync_registered_model(MlflowClient(resources.settings), resources.bucket, new)
    if want_candidate:
        missing = "no new candidate asked for; the weekly training brings one"
        with _propagated(report, missing), AirflowClient(resources.settings) as airflow:
            airflow.emit_asset_event(CANDIDATE_WANTED_ASSET)
    resources.notifier.send(Notification(report.done[0], reason))


@contextmanager
def _propagated(report: ActionReport, missing: str) -> Iterator[None]:
    """Continue without a system that does not answer, and note it in the report."""
    try:
        yield
    except HomePricesError as error:
        report.not_propagated.append(f"{missing} ({error})")


def _candidate(resources: Resources) -> str:
    on_trial = control_record.read(resources.bucket).candidate
    candidate = on_trial or bundle_reader.highest(resources.bucket, BUNDLE_KIND["candidate"])
    if candidate is None:
        raise Conflict("there is no candidate")
    return candidate
