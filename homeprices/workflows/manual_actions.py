"""What a person orders by hand: promote, roll back, revert, hold, resume. Done at once and put on record.

The database, MLflow and Airflow may all be away when somebody must act: then the order is carried out all the same, and
what could not be told is said. The same order given again changes nothing and tells the rest.
"""

from __future__ import annotations

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
from homeprices.experiment.decision_log import record_manual_action, record_result
from homeprices.names import BUNDLE_KIND, CANDIDATE_WANTED_ASSET
from homeprices.registry import bundle_reader, mlflow_mirror
from homeprices.release import control_record, holds, promotion
from homeprices.release.replicas import wait_for_version
from homeprices.workflows.notify_once import notify_once

if TYPE_CHECKING:
    from homeprices.resources import Resources


@dataclass
class ActionReport:
    """What was done, a sentence each, and what could not be told to others."""

    done: list[str] = field(default_factory=list)
    not_propagated: list[str] = field(default_factory=list)


def promote(resources: Resources, candidate: str | None, actor: str, reason: str) -> ActionReport:
    """Make the candidate the next production bundle, whatever the experiment says."""
    candidate = candidate or _candidate(resources)
    report, order = ActionReport(), _decided(resources, candidate, "promote", actor, reason)
    wait = partial(wait_for_version, resources.settings, "production")
    version = promotion.promote(resources.bucket, candidate, wait, actor, reason)
    report.done.append(f"{candidate} is in production as {version}.")
    order.record(report, version)
    _propagate(resources, report, reason, want_candidate=True)
    return report


def roll_back(resources: Resources, candidate: str | None, actor: str, reason: str) -> ActionReport:
    """End the trial of the candidate, whatever the experiment says."""
    candidate = candidate or _candidate(resources)
    report, order = ActionReport(), _decided(resources, candidate, "rollback", actor, reason)
    promotion.roll_back(resources.bucket, candidate, actor, reason)
    report.done.append(f"{candidate} is rolled back; all visitors are with production.")
    order.record(report)
    _propagate(resources, report, reason, want_candidate=True)
    return report


def revert(resources: Resources, to: str, actor: str, reason: str) -> ActionReport:
    """Bring an earlier production bundle back as the next one."""
    report = ActionReport()
    wait = partial(wait_for_version, resources.settings, "production")
    version = promotion.revert(resources.bucket, to, wait, actor, reason)
    report.done.append(f"{to} is in production again, as {version}.")
    published = bundle_reader.published(resources.bucket, BUNDLE_KIND["production"])
    replaced = [name for name in published if name != version][-1]
    ManualAction(resources, "revert", f"person:revert:{version}", replaced, to, actor, reason).record(report, version)
    _propagate(resources, report, reason, want_candidate=False)
    return report


def hold(resources: Resources, version: str | None, actor: str, reason: str) -> ActionReport:
    """Keep every automatic actor from ending the candidate, or from taking back a production that is no trial's."""
    report, held = ActionReport(), holds.set_hold(resources.bucket, version, actor, reason)
    report.done.append(f"{held}.")
    _note(
        resources, report, "hold", f"person:hold:{held.version}:{held.at.isoformat()}", held.version, held.actor, reason
    )
    return report


def resume(resources: Resources, actor: str, reason: str) -> ActionReport:
    """Lift the hold."""
    report, held = ActionReport(), holds.lift(resources.bucket)
    if held is None:
        report.done.append("Nothing was held.")
        return report
    report.done.append(f"{held.version} is no longer held.")
    _note(
        resources, report, "resume", f"person:resume:{held.version}:{held.at.isoformat()}", held.version, actor, reason
    )
    return report


def _note(
    resources: Resources,
    report: ActionReport,
    outcome: Literal["hold", "resume"],
    key: str,
    version: str,
    actor: str,
    reason: str,
) -> None:
    """Put an order on record that moves nothing, and tell people."""
    ManualAction(
        resources, outcome, key, control_record.read(resources.bucket).production or "none", version, actor, reason
    ).record(report)
    notify_once(resources, key, Notification(report.done[0], reason))


@dataclass(frozen=True)
class ManualAction:
    """An order as it stands on record."""

    resources: Resources
    outcome: Literal["promote", "rollback", "revert", "hold", "resume"]
    key: str
    production: str
    candidate: str
    actor: str
    reason: str

    def record(self, report: ActionReport, version: str | None = None) -> None:
        """Put it on record, with the version that it led to; a database that is away is noted in the report."""
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


def _decided(resources: Resources, candidate: str, outcome: promotion.Outcome, actor: str, reason: str) -> ManualAction:
    """The order, decided and, if the database is there, on record before it is carried out: somebody can finish it."""
    opponent = _opponent(resources, candidate)
    promotion.claim_outcome(resources.bucket, candidate, outcome, actor)
    order = ManualAction(resources, outcome, f"person:{outcome}:{candidate}", opponent, candidate, actor, reason)
    order.record(ActionReport())
    return order


def _propagate(resources: Resources, report: ActionReport, reason: str, *, want_candidate: bool) -> None:
    with _propagated(report, "not in MLflow, which follows at the next release"):
        mlflow_mirror.sync_registered_model(MlflowClient(resources.settings), resources.bucket)
    if want_candidate:
        lacking = "no new candidate asked for; the weekly training brings one"
        with _propagated(report, lacking), AirflowClient(resources.settings) as airflow:
            airflow.emit_asset_event(CANDIDATE_WANTED_ASSET)
    resources.notifier.send(Notification(report.done[0], reason))


@contextmanager
def _propagated(report: ActionReport, lacking: str) -> Iterator[None]:
    """Go on without what does not answer, and say so."""
    try:
        yield
    except HomePricesError as error:
        report.not_propagated.append(f"{lacking} ({error})")


def _candidate(resources: Resources) -> str:
    on_trial = control_record.read(resources.bucket).candidate
    candidate = on_trial or bundle_reader.highest(resources.bucket, BUNDLE_KIND["candidate"])
    if candidate is None:
        raise Conflict("there is no candidate")
    return candidate


def _opponent(resources: Resources, candidate: str) -> str:
    """The production bundle that a candidate is, or was, tried beside."""
    record = control_record.read(resources.bucket)
    if record.candidate == candidate and record.production:
        return record.production
    others = (
        version
        for version in reversed(bundle_reader.published(resources.bucket, BUNDLE_KIND["production"]))
        if bundle_reader.read_manifest(resources.bucket, version).promoted_from != candidate
    )
    return next(others, "none")
