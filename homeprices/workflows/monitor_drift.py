"""The steps of the drift check, as the DAGs call them: compare, write the report, tell people, ask for a new model.

Each step can be killed and run again. The numbers are in the database before anything follows from them; where an arm
stands (a drift that goes on, and whether it has asked for a new model) is `control/drift.json` in the bucket.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from homeprices.adapters.database import open_engine, transaction
from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.adapters.notifications import Notification
from homeprices.drift import alert_state
from homeprices.drift.live_comparison import observe
from homeprices.drift.report_page import History, render
from homeprices.errors import ObjectNotFound
from homeprices.experiment import policies
from homeprices.experiment.policies.base import RetrainingRule
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND, VARIANTS, Variant
from homeprices.predictions import drift_reports
from homeprices.pricing.bundle import Bundle
from homeprices.registry import bundle_reader, versions
from homeprices.resources import Resources, open_resources
from homeprices.workflows import heartbeat

DAY_HOURS, WEEK_HOURS = 24, 168
WINDOWS = (DAY_HOURS, WEEK_HOURS)
HOURLY = (DAY_HOURS,)
DAYS_SHOWN = 30
STATE_KEY = "control/drift.json"
STATEMENT_SECONDS = 60.0
"""A week of visits takes longer than what serving waits for."""

log = get_logger(__name__)


class AlertStates(BaseModel):
    """Where each arm stands, as it is kept in the bucket."""

    model_config = ConfigDict(frozen=True)

    arms: dict[Variant, alert_state.AlertState] = {}

    def of(self, variant: Variant) -> alert_state.AlertState:
        """The state of an arm; one that was never looked at is calm."""
        return self.arms.get(variant, alert_state.AlertState())

    def with_(self, variant: Variant, state: alert_state.AlertState) -> AlertStates:
        """The same with another state of one arm."""
        return AlertStates(arms={**self.arms, variant: state})


def open_monitor(run_id: str) -> DriftMonitor:
    """The drift check that a scheduler's run belongs to, on the parts of this process."""
    return DriftMonitor(open_resources(), run_id)


class DriftMonitor:
    """One look at what visitors ask for."""

    def __init__(
        self,
        resources: Resources,
        run_id: str,
        clock: Callable[[], datetime] = versions.utc_now,
        retraining: RetrainingRule | None = None,
    ) -> None:
        self._resources, self._run_id, self._clock = resources, run_id, clock
        self._retraining = retraining or policies.load(resources.settings.policy).retraining

    def compare(self, windows: tuple[int, ...] = WINDOWS) -> dict[str, str]:
        """Store a report on each arm for each window; gives the sentence on the shortest one, by arm."""
        bucket, now = self._resources.bucket, self._clock()
        serving: dict[Variant, str | None] = {
            "production": bundle_reader.highest(bucket, BUNDLE_KIND["production"]),
            "candidate": bundle_reader.highest(bucket, BUNDLE_KIND["candidate"]),
        }
        said: dict[str, str] = {}
        engine = open_engine(self._resources.settings, statement_timeout_seconds=STATEMENT_SECONDS)
        try:
            for variant, version in serving.items():
                if version is None:
                    continue
                beside = serving["production"] if variant == "candidate" else None
                with tempfile.TemporaryDirectory() as folder:
                    bundle = Bundle.open(bundle_reader.fetch(bucket, version, Path(folder)))
                    for hours in windows:
                        with transaction(engine) as connection:
                            seen = observe(connection, variant, bundle, now, hours, beside)
                            drift_reports.store(connection, seen.report(self._run_id))
                        said.setdefault(variant, str(seen.summary["sentence"]))
        finally:
            engine.dispose()
        log.info("drift_compared", run=self._run_id, **said)
        return said

    def write_report(self) -> dict[str, str]:
        """The page of each arm in the bucket, under `reports/drift/`; gives their keys by arm."""
        return {variant: self._page(report) for variant, report in self._reports().items()}

    def log_report(self, pages: dict[str, str]) -> str | None:
        """The pages and p-values as a run in MLflow; gives its address."""
        if not pages:
            return None
        tracking = MlflowClient(self._resources.settings)
        run = tracking.parent_run(f"drift {self._run_id}", tags={"process": "drift"})
        with tempfile.TemporaryDirectory() as folder:
            for variant, key in pages.items():
                (Path(folder) / f"{variant}.html").write_bytes(self._resources.bucket.get(key).body)
            tracking.log_files(run, Path(folder), under="drift")
        tracking.log(run, metrics=self._metrics())
        tracking.finish(run)
        return tracking.run_url(run)

    def notify(self, pages: dict[str, str]) -> dict[str, Any]:
        """Tell people of a drift that begins or ends; gives whether a new model is to be asked for, and why."""
        standing, wanted = self._standing(), ""
        reports = self._reports()
        for variant, report in reports.items():
            finding = alert_state.finding_of(report.summary, report.bundle)
            state = alert_state.next_state(standing.of(variant), finding, self._run_id, self._clock())
            standing = standing.with_(variant, state)
            if (
                variant == "production"
                and alert_state.should_retrain(self._retraining, state, report.data_points)
                and state.episode
            ):
                wanted = state.episode.sentence
        # Told before it is kept: a step that is killed in between tells again, instead of never.
        known = self._standing()
        for variant in reports:
            state = standing.of(variant)
            if state.turn in ("begins", "ends") and known.of(variant).run != self._run_id:
                self._notify(variant, state, pages.get(variant))
        self._keep(standing)
        turns = {variant: standing.of(variant).turn for variant in reports}
        return {"turns": turns, "retrain": bool(wanted), "reason": wanted or "No drift asks for a new model."}

    def request_retraining(self, told: dict[str, Any]) -> str:
        """Note that this run has asked for a new model, so that no later one does for the same drift."""
        standing = self._standing()
        self._keep(
            standing.with_("production", alert_state.retraining_requested(standing.of("production"), self._run_id))
        )
        self._resources.notifier.send(Notification("A new model is asked for because of drift", str(told["reason"])))
        return str(told["reason"])

    def record_heartbeat(self, told: dict[str, Any]) -> str:
        """Note that the check has come to its end."""
        outcome = ", ".join(f"{variant}: {turn}" for variant, turn in told["turns"].items()) or "no production yet"
        heartbeat.record_heartbeat(self._resources.bucket, "drift", outcome, self._run_id, self._clock)
        return outcome

    def _reports(self) -> dict[Variant, drift_reports.Report]:
        """This run's reports on one day, by arm."""
        found: dict[Variant, drift_reports.Report] = {}
        with transaction(self._resources.engine) as connection:
            for variant in VARIANTS:
                report = drift_reports.of_run(connection, variant, DAY_HOURS, self._run_id)
                if report is not None:
                    found[variant] = report
        return found

    def _page(self, report: drift_reports.Report) -> str:
        """The key of a report's page; the same when the step is run again."""
        with transaction(self._resources.engine) as connection:
            days = drift_reports.daily(connection, report.variant, DAY_HOURS, report.window_end, DAYS_SHOWN)
        facts = (
            f"Visitors of {report.variant} whom {report.bundle} answered, from {report.window_start:%Y-%m-%d %H:%M} to "
            f"{report.window_end:%Y-%m-%d %H:%M} UTC, against what {report.bundle} has learned from."
        )
        body = render(report.summary, f"Drift of {report.bundle}", facts, _history(days), _notes(report.summary))
        key = f"reports/drift/{report.window_end:%Y-%m-%dT%H%M%S}/{report.variant}.html"
        self._resources.bucket.put(key, body.encode())
        return key

    def _metrics(self) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for variant, report in self._reports().items():
            metrics[f"{variant}.homes"] = report.data_points
            metrics[f"{variant}.drift"] = float(report.summary["overall_drift_detected"])
            for name, indicator in report.summary["drift_indicators"].items():
                metrics[f"{variant}.{name}.p_value"] = indicator["p_value"]
        return metrics

    def _standing(self) -> AlertStates:
        try:
            return AlertStates.model_validate_json(self._resources.bucket.get(STATE_KEY).body)
        except ObjectNotFound:
            return AlertStates()

    def _keep(self, standing: AlertStates) -> None:
        self._resources.bucket.put(STATE_KEY, standing.model_dump_json(indent=2).encode())

    def _notify(self, variant: Variant, state: alert_state.AlertState, page: str | None) -> None:
        title = f"Drift {state.turn}: visitors of {variant}"
        where = f" The report is {page} in the bucket." if page else ""
        self._resources.notifier.send(Notification(title, f"{state.told}{where}"))


def _history(days: list[drift_reports.Report]) -> History:
    """By feature, the stability index of each day."""
    found: dict[str, list[tuple[str, float, bool]]] = {}
    for report in days:
        for name, indicator in report.summary["drift_indicators"].items():
            index = (indicator.get("effect") or {}).get("stability_index")
            if index is not None:
                point = (f"{report.window_end:%Y-%m-%d}", max(0.0, float(index)), bool(indicator["significant_drift"]))
                found.setdefault(name, []).append(point)
    return found


def _notes(summary: dict[str, Any]) -> list[str]:
    """What is said beside the features: the error, the other arm, and the segments in which something changed."""
    notes = [summary["error"]["sentence"]] if summary.get("error") else []
    if summary.get("arms"):
        notes.append(f"Against the visitors of production: {summary['arms']['sentence']}")
    segments = summary.get("segments", {}).items()
    notes += [f"Among {name}: {found['sentence']}" for name, found in segments if found["overall_drift_detected"]]
    return notes
