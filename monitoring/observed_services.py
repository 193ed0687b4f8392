"""What the two servers without metrics of their own tell (Airflow, MLflow), and the disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx

from homeprices.errors import TrackingUnavailable, Unavailable
from monitoring.metrics import Sample

TIMEOUT_SECONDS = 3.0
AIRFLOW_COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class AirflowObserver:
    """Airflow's own view of its parts, which needs no login: GET /api/v2/monitor/health."""

    name = "airflow"

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/api/v2/monitor/health"

    def look(self) -> list[Sample]:
        """The health of each component. Raises Unavailable."""
        try:
            said = httpx.get(self._url, timeout=TIMEOUT_SECONDS).raise_for_status().json()
            health = {part: (said.get(part) or {}).get("status") for part in AIRFLOW_COMPONENTS}
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            raise Unavailable(f"Airflow does not tell its health at {self._url}: {error}") from error
        return _components({part for part, status in health.items() if status == "healthy"})

    def unseen(self) -> list[Sample]:
        """What is said of Airflow when it does not answer: nothing of it is known to be healthy."""
        return _components(set())


class MlflowObserver:
    """Whether MLflow answers. Its `--expose-prometheus` needs a package that MLflow's server does not bring."""

    name = "mlflow"

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/health"

    def look(self) -> list[Sample]:
        """Nothing beyond that it answered. Raises TrackingUnavailable."""
        try:
            httpx.get(self._url, timeout=TIMEOUT_SECONDS).raise_for_status()
        except httpx.HTTPError as error:
            raise TrackingUnavailable(f"MLflow does not answer at {self._url}: {error}") from error
        return []


class DiskObserver:
    """The file system on which the services keep models and unsent records, and what these may take of it."""

    name = "disk"

    def __init__(self, folder: Path, spool_limit_bytes: int) -> None:
        self._folder = folder.resolve()
        self._spool_limit_bytes = spool_limit_bytes

    def look(self) -> list[Sample]:
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
