"""What Airflow tells of the runs of our DAGs: the last good one, its duration, and the queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from homeprices.errors import NotFound
from homeprices.workflows.heartbeat import Process
from monitoring.metrics import Sample

DAGS: Mapping[str, Process | None] = {
    "bangalore_home_prices_pipeline": "training",
    "evaluate_ab_dag": "evaluation",
    "drift_monitoring_dag": "drift",
    "batch_scoring_dag": None,
}
WAITING_STATES = ("queued", "running")


class Runs(Protocol):
    """The part of `homeprices.orchestration.Airflow` that is asked here."""

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The latest runs of a DAG, newest first."""


class RunsObserver:
    """Asks Airflow's REST API. A DAG that Airflow does not (yet) know is left out."""

    name = "airflow-runs"

    def __init__(self, airflow: Runs) -> None:
        self._airflow = airflow

    def look(self) -> list[Sample]:
        """The samples of this moment. Raises Unavailable."""
        return [sample for dag, process in DAGS.items() for sample in self._of(dag, process)]

    def _of(self, dag: str, process: Process | None) -> Iterator[Sample]:
        try:
            runs = self._airflow.runs(dag)
        except NotFound:
            return
        for state in WAITING_STATES:
            count = sum(run["state"] == state for run in runs)
            yield Sample("homeprices_dag_runs", count, {"dag": dag, "state": state})
        ended = [run for run in runs if run.get("end_date") and run["state"] in ("success", "failed")]
        if ended:
            last = max(ended, key=lambda run: _time(run["end_date"]))
            yield Sample("homeprices_dag_last_run_failed", float(last["state"] == "failed"), {"dag": dag})
        good = [run for run in ended if run["state"] == "success" and run.get("start_date")]
        if not good:
            return
        last = max(good, key=lambda run: _time(run["end_date"]))
        began, end = _time(last["start_date"]), _time(last["end_date"])
        yield Sample("homeprices_dag_last_success_timestamp_seconds", end, {"dag": dag})
        yield Sample("homeprices_dag_last_success_duration_seconds", end - began, {"dag": dag})
        if process:
            yield Sample("homeprices_process_last_success_timestamp_seconds", end, {"process": process})


def _time(said: str) -> float:
    return datetime.fromisoformat(said).timestamp()
