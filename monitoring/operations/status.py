"""`GET /api/status`: every part, what is wrong, and links to the other programs, as one JSON document."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from homeprices.registry import versions
from homeprices.resources import Resources
from homeprices.settings import Settings
from monitoring.operations.bucket_parts import BucketParts
from monitoring.operations.database_parts import DatabaseParts
from monitoring.operations.parts import Data, Parts, Source
from monitoring.operations.problems import problems
from monitoring.operations.service_parts import ServiceParts

RUNS_KEPT_SECONDS = 12.0
"""Airflow queries its database for each list of runs."""


class Status:
    """The status of a stack; concurrent requests share one reading."""

    def __init__(self, parts: Parts, links: dict[str, str], clock: Callable[[], datetime] = versions.utc_now) -> None:
        self._parts, self._links, self._clock = parts, links, clock

    def forget(self, part: str) -> None:
        """Read this part again at the next request, because it was just changed."""
        self._parts.forget(part)

    def read(self) -> Data:
        """Return the document that `documentations/operations.md` describes."""
        parts = dict(self._parts.read())
        now = self._clock()
        found = problems(parts, now)
        return {
            "at": now.isoformat(),
            "ok": not any(problem["severity"] == "error" for problem in found),
            "problems": found,
            "parts": parts,
            "links": self._links,
        }


def open_status(resources: Resources) -> Status:
    """Return the status of the stack that the resources belong to. Opens nothing before the first reading."""
    return Status(Parts(sources(resources)), links(resources.settings))


def sources(resources: Resources) -> list[Source]:
    """Return how each part is read."""
    bucket, services = BucketParts(resources.bucket), ServiceParts(resources.settings)
    database = DatabaseParts(resources.engine)
    return [
        Source("release", bucket.release),
        Source("services", services.services),
        Source("experiment", database.experiment),
        Source("decisions", database.decisions),
        Source("drift", database.drift),
        Source("drift_alerts", bucket.drift_alerts),
        Source("pipeline", services.pipeline),
        Source("runs", services.runs, RUNS_KEPT_SECONDS),
        Source("releases", bucket.releases),
        Source("log", database.log),
    ]


def links(settings: Settings) -> dict[str, str]:
    """Return the addresses of the other programs, as a person's browser reaches them."""
    found = {
        "Airflow": settings.airflow_public_url or settings.airflow_url,
        "MLflow": settings.mlflow_public_url or settings.mlflow_tracking_uri,
        "Grafana": settings.grafana_public_url,
        "Prometheus": settings.prometheus_public_url,
    }
    return {name: url.rstrip("/") for name, url in found.items() if url}
