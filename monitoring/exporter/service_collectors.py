"""What Airflow tells of the runs of our DAGs: the last good one, its duration, and the queue."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx

from homeprices.errors import NotFound, TrackingUnavailable, Unavailable
from homeprices.names import BATCH_DAG, DRIFT_DAG, EVALUATION_DAG, TRAINING_DAG
from homeprices.workflows.heartbeat import Process
from monitoring.exporter.metric_table import Sample

DAGS: Mapping[str, Process | None] = {
    TRAINING_DAG: "training",
    EVALUATION_DAG: "evaluation",
    DRIFT_DAG: "drift",
    BATCH_DAG: None,
}
WAITING_STATES = ("queued", "running")


class Runs(Protocol):
    """The part of `homeprices.orchestration.Airflow` that is asked here."""

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The latest runs of a DAG, newest first."""


class RunsCollector:
    """Asks Airflow's REST API. A DAG that Airflow does not (yet) know is left out."""

    name = "airflow-runs"

    def __init__(self, airflow: Runs) -> None:
        self._airflow = airflow

    def collect(self) -> list[Sample]:
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


# What the two servers without metrics of their own tell (Airflow, MLflow), and the disk.


TIMEOUT_SECONDS = 3.0
AIRFLOW_COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class AirflowCollector:
    """Airflow's own view of its parts, which needs no login: GET /api/v2/monitor/health."""

    name = "airflow"

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/api/v2/monitor/health"

    def collect(self) -> list[Sample]:
        """The health of each component. Raises Unavailable."""
        try:
            said = httpx.get(self._url, timeout=TIMEOUT_SECONDS).raise_for_status().json()
            health = {part: (said.get(part) or {}).get("status") for part in AIRFLOW_COMPONENTS}
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            raise Unavailable(f"Airflow does not tell its health at {self._url}: {error}") from error
        return _components({part for part, status in health.items() if status == "healthy"})

    def unavailable(self) -> list[Sample]:
        """What is said of Airflow when it does not answer: nothing of it is known to be healthy."""
        return _components(set())


class MlflowCollector:
    """Whether MLflow answers. Its `--expose-prometheus` needs a package that MLflow's server does not bring."""

    name = "mlflow"

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/health"

    def collect(self) -> list[Sample]:
        """Nothing beyond that it answered. Raises TrackingUnavailable."""
        try:
            httpx.get(self._url, timeout=TIMEOUT_SECONDS).raise_for_status()
        except httpx.HTTPError as error:
            raise TrackingUnavailable(f"MLflow does not answer at {self._url}: {error}") from error
        return []


class DiskCollector:
    """The file system on which the services keep models and unsent records, and what these may take of it."""

    name = "disk"

    def __init__(self, folder: Path, spool_limit_bytes: int) -> None:
        self._folder = folder.resolve()
        self._spool_limit_bytes = spool_limit_bytes

    def collect(self) -> list[Sample]:
        """Free and total bytes; of a folder that is yet to be made, those of where it will be."""
        there = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        usage, labels = shutil.disk_usage(there), {"place": "state"}
        return [
            Sample("homeprices_disk_free_bytes", usage.free, labels),
            Sample("homeprices_disk_size_bytes", usage.total, labels),
            Sample("homeprices_spool_limit_bytes", self._spool_limit_bytes),
        ]


def _components(healthy: set[str]) -> list[Sample]:
    return [
        Sample("homeprices_airflow_component_healthy", float(part in healthy), {"component": part})
        for part in AIRFLOW_COMPONENTS
    ]
