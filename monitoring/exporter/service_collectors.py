"""Collectors of Airflow (the runs of the project's DAGs, the health of its components), MLflow, and the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx

from homeprices.adapters.certificates import certificates
from homeprices.errors import NotFound, TrackingUnavailable, Unavailable
from homeprices.names import BATCH_DAG, DRIFT_DAG, EVALUATION_DAG, PLACE_PRICES_DAG, TRAINING_DAG
from homeprices.workflows.heartbeat import Process
from monitoring.exporter.metric_table import Sample

DAGS: Mapping[str, Process | None] = {
    TRAINING_DAG: "training",
    EVALUATION_DAG: "evaluation",
    DRIFT_DAG: "drift",
    BATCH_DAG: None,
    PLACE_PRICES_DAG: None,
}
WAITING_STATES = ("queued", "running")
TIMEOUT_SECONDS = 3.0
AIRFLOW_COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class Runs(Protocol):
    """The part of `AirflowClient` that the collector calls."""

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the latest runs of a DAG, newest first."""

    def is_paused(self, dag_id: str) -> bool:
        """Return whether somebody has paused the DAG."""


class RunsCollector:
    """Reads runs, and whether a DAG is paused, from Airflow's REST API. It skips a DAG that Airflow does not know."""

    name = "airflow-runs"

    def __init__(self, airflow: Runs) -> None:
        self._airflow = airflow

    def collect(self) -> list[Sample]:
        """Return the current samples. Raises Unavailable."""
        return [sample for dag, process in DAGS.items() for sample in self._of(dag, process)]

    def _of(self, dag: str, process: Process | None) -> Iterator[Sample]:
        try:
            runs, paused = self._airflow.runs(dag), self._airflow.is_paused(dag)
        except NotFound:
            return
        yield Sample("homeprices_dag_paused", float(paused), {"dag": dag})
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


def _time(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


class AirflowCollector:
    """Reads the health of Airflow's components from GET /api/v2/monitor/health, which needs no login."""

    name = "airflow"

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/api/v2/monitor/health"

    def collect(self) -> list[Sample]:
        """Return the health of each component. Raises Unavailable."""
        try:
            body = httpx.get(self._url, timeout=TIMEOUT_SECONDS, verify=certificates()).raise_for_status().json()
            health = {part: (body.get(part) or {}).get("status") for part in AIRFLOW_COMPONENTS}
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            raise Unavailable(f"Airflow does not report its health at {self._url}: {error}") from error
        return _components({part for part, status in health.items() if status == "healthy"})

    def unavailable(self) -> list[Sample]:
        """Return every component as unhealthy, because an Airflow that does not answer is not known to be healthy."""
        return _components(set())


class MlflowCollector:
    """Checks whether MLflow answers. Its `--expose-prometheus` needs a package that MLflow does not install."""

    name = "mlflow"

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/health"

    def collect(self) -> list[Sample]:
        """Return no samples: success alone is the result. Raises TrackingUnavailable."""
        try:
            httpx.get(self._url, timeout=TIMEOUT_SECONDS, verify=certificates()).raise_for_status()
        except httpx.HTTPError as error:
            raise TrackingUnavailable(f"MLflow does not answer at {self._url}: {error}") from error
        return []


class DiskCollector:
    """Measures the file system on which the services keep models and spools; exports the spool's limit."""

    name = "disk"

    def __init__(self, folder: Path, spool_limit_bytes: int) -> None:
        self._folder = folder.resolve()
        self._spool_limit_bytes = spool_limit_bytes

    def collect(self) -> list[Sample]:
        """Return free and total bytes; while the folder does not exist, those of its nearest existing parent."""
        existing = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        usage, labels = shutil.disk_usage(existing), {"place": "state"}
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
