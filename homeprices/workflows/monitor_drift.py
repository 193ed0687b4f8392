"""Steps of the drift DAG: compare, write and log reports, notify people, request retraining.

Each step can be killed and repeated. Reports are stored in the database before anything acts on them. The alert of each
variant, and whether it has requested retraining, is `control/drift.json` in the bucket.
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
from homeprices.registry import bundle_reader, regional_record, versions
from homeprices.resources import Resources, open_resources
from homeprices.workflows import heartbeat

DAY_HOURS, WEEK_HOURS = 24, 168
WINDOWS = (DAY_HOURS, WEEK_HOURS)
HOURLY = (DAY_HOURS,)
DAYS_SHOWN = 30
STATE_KEY = "control/drift.json"
STATEMENT_SECONDS = 60.0
"""Reading a week of traffic takes longer than the statement timeout of serving."""

log = get_logger(__name__)


class AlertStates(BaseModel):
    """The alert state of each variant, as it is stored in the bucket."""

    model_config = ConfigDict(frozen=True)

    arms: dict[Variant, alert_state.AlertState] = {}  # the stored name

    def of(self, variant: Variant) -> alert_state.AlertState:
        """Return the state of a variant, by default without an alert."""
        return self.arms.get(variant, alert_state.AlertState())

    def with_(self, variant: Variant, state: alert_state.AlertState) -> AlertStates:
        """Return a copy with another state of one variant."""
        return AlertStates(arms={**self.arms, variant: state})


def open_monitor(run_id: str) -> DriftMonitor:
    """Return the drift check of this run, with the resources of this process."""
    return DriftMonitor(open_resources(), run_id)


class DriftMonitor:
    """One drift check of both variants."""

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
        """Store a report for each variant and window; return the summary of the first window, by variant."""
        bucket, now = self._resources.bucket, self._clock()
        serving: dict[Variant, str | None] = {
            "production": bundle_reader.highest(bucket, BUNDLE_KIND["production"]),
            "candidate": bundle_reader.highest(bucket, BUNDLE_KIND["candidate"]),
        }
        regional = regional_record.read(bucket).versions
        summaries: dict[str, str] = {}
        engine = open_engine(self._resources.settings, statement_timeout_seconds=STATEMENT_SECONDS)
        try:
            for variant, version in serving.items():
                if version is None:
                    continue
                baseline = serving["production"] if variant == "candidate" else None
                with tempfile.TemporaryDirectory() as folder:
                    bundle = Bundle.open(bundle_reader.fetch(bucket, version, Path(folder)))
                    for hours in windows:
                        with transaction(engine) as connection:
                            comparison = observe(connection, variant, bundle, now, hours, baseline, regional)
                            drift_reports.store(connection, comparison.report(self._run_id))
                        summaries.setdefault(variant, str(comparison.summary["sentence"]))
        finally:
            engine.dispose()
        log.info("drift_compared", run=self._run_id, **summaries)
        return summaries

    def write_report(self) -> dict[str, str]:
        """Write the report of each variant under `reports/drift/` in the bucket; return the keys by variant."""
        return {variant: self._page(report) for variant, report in self._reports().items()}

    def log_report(self, pages: dict[str, str]) -> str | None:
        """Log reports and p-values as an MLflow run; return its URL."""
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
        """Notify people of alerts that fire or resolve; return whether to request retraining, and why."""
        states, request = self._states(), ""
        reports = self._reports()
        for variant, report in reports.items():
            finding = alert_state.finding_of(report.summary, report.bundle)
            state = alert_state.next_state(states.of(variant), finding, self._run_id, self._clock())
            states = states.with_(variant, state)
            if (
                variant == "production"
                and alert_state.should_retrain(self._retraining, state, report.data_points)
                and state.episode
            ):
                request = state.episode.sentence
        # Notify before storing the state: a step that is killed in between notifies twice instead of never.
        stored = self._states()
        for variant in reports:
            state = states.of(variant)
            if state.turn in ("begins", "ends") and stored.of(variant).run != self._run_id:
                self._notify(variant, state, pages.get(variant))
        self._store(states)
        turns = {variant: states.of(variant).turn for variant in reports}
        return {"turns": turns, "retrain": bool(request), "reason": request or "No drift asks for a new model."}

    def request_retraining(self, alerts: dict[str, Any]) -> str:
        """Record that this run requests retraining, so that no later run does so for the same alert."""
        states = self._states()
        self._store(states.with_("production", alert_state.retraining_requested(states.of("production"), self._run_id)))
        self._resources.notifier.send(Notification("A new model is asked for because of drift", str(alerts["reason"])))
        return str(alerts["reason"])

    def record_heartbeat(self, alerts: dict[str, Any]) -> str:
        """Record the success of the check; return its outcome."""
        outcome = ", ".join(f"{variant}: {turn}" for variant, turn in alerts["turns"].items()) or "no production yet"
        heartbeat.record_heartbeat(self._resources.bucket, "drift", outcome, self._run_id, self._clock)
        return outcome

    def _reports(self) -> dict[Variant, drift_reports.Report]:
        """Return this run's daily reports, by variant."""
        reports: dict[Variant, drift_reports.Report] = {}
        with transaction(self._resources.engine) as connection:
            for variant in VARIANTS:
                report = drift_reports.of_run(connection, variant, DAY_HOURS, self._run_id)
                if report is not None:
                    reports[variant] = report
        return reports

    def _page(self, report: drift_reports.Report) -> str:
        """Write the HTML report; return its key, which is the same if the step is repeated."""
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

    def _states(self) -> AlertStates:
        try:
            return AlertStates.model_validate_json(self._resources.bucket.get(STATE_KEY).body)
        except ObjectNotFound:
            return AlertStates()

    def _store(self, states: AlertStates) -> None:
        self._resources.bucket.put(STATE_KEY, states.model_dump_json(indent=2).encode())

    def _notify(self, variant: Variant, state: alert_state.AlertState, page: str | None) -> None:
        title = f"Drift {state.turn}: visitors of {variant}"
        where = f" The report is {page} in the bucket." if page else ""
        self._resources.notifier.send(Notification(title, f"{state.told}{where}"))


def _history(days: list[drift_reports.Report]) -> History:
    """Return the stability index of each day, by feature."""
    history: dict[str, list[tuple[str, float, bool]]] = {}
    for report in days:
        for name, indicator in report.summary["drift_indicators"].items():
            index = (indicator.get("effect") or {}).get("stability_index")
            if index is not None:
                point = (f"{report.window_end:%Y-%m-%d}", max(0.0, float(index)), bool(indicator["significant_drift"]))
                history.setdefault(name, []).append(point)
    return history


_LEFT_OUT = {
    "malformed": "rows that no service can have written",
    "no_cookie": "requests without the visitor's cookie",
    "unassigned": "rows of batches and requests that did not pass the router",
}


def _notes(summary: dict[str, Any]) -> list[str]:
    """Return the notes under the features: error, comparison with production, and segments with drift."""
    notes = [summary["error"]["sentence"]] if summary.get("error") else []
    if left_out := summary.get("left_out"):
        reasons = ", ".join(f"{count} {_LEFT_OUT[reason]}" for reason, count in left_out.items())
        notes.append(f"Left out: {reasons}.")
    if summary.get("arms"):
        notes.append(f"Against the visitors of production: {summary['arms']['sentence']}")
    segments = summary.get("segments", {}).items()
    notes += [f"Among {name}: {segment['sentence']}" for name, segment in segments if segment["overall_drift_detected"]]
    return notes
