"""What operators ask: metrics, logs and drift. Open to trusted networks only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeprices.adapters.database import snapshot, transaction
from homeprices.errors import InvalidInput
from homeprices.names import Variant
from homeprices.predictions import drift_reports, log_queries
from homeprices.predictions.drift_reports import Report
from homeprices.predictions.log_queries import LogType, hour_of
from inference.backend.runtime.app_state import app_state
from inference.backend.runtime.http import problem
from inference.backend.runtime.process import read_log_tail
from inference.backend.runtime.service_metrics import CONTENT_TYPE

blueprint = Blueprint("operations", __name__)


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Query):
    """How far to look back."""

    hours: int = Field(24, ge=1, le=24 * 31)


class Drift(Window):
    """The window that a report looked back over (24 and 168 are stored), and whose visitors; by default this arm's."""

    variant: Variant | None = None


class Rows(_Query):
    """Which log, and how much of it."""

    type: LogType = "predictions"
    limit: int = Field(100, ge=1, le=1000)


class Lines(_Query):
    """How many lines."""

    limit: int = Field(100, ge=1, le=1000)


_Asked = TypeVar("_Asked", bound=_Query)


@blueprint.before_request
def require_trusted_network() -> Response | None:
    """Nobody else learns what visitors asked, or how this instance fares."""
    if g.caller.trusted:
        return None
    return problem(HTTPStatus.FORBIDDEN, "Forbidden", "this is open to trusted networks only")


@blueprint.get("/metrics")
def prometheus() -> Response:
    """The metrics of all workers of this instance, for Prometheus."""
    return Response(app_state().metrics.exposition(), content_type=CONTENT_TYPE)


@blueprint.get("/api/metrics")
def metrics() -> dict[str, Any]:
    """Traffic and feedback of the last hours by the variant that answered, from the prediction log."""
    hours = _asked(Window).hours
    since, until = _window(hours)
    since = hour_of(since)
    with snapshot(app_state().engine) as connection:
        variants = log_queries.metrics(connection, since=since, until=until)
    return {"hours": hours, "since": since.isoformat(), "until": until.isoformat(), "variants": variants}


@blueprint.get("/api/logs")
def logs() -> dict[str, Any]:
    """The newest predictions, feedback, decisions or drift reports, newest first."""
    asked = _asked(Rows)
    with transaction(app_state().engine) as connection:
        rows = log_queries.logs(connection, asked.type, asked.limit)
    return {"type": asked.type, "count": len(rows), "logs": [_plain(row) for row in rows]}


@blueprint.get("/api/logs/tail")
def tail() -> dict[str, Any]:
    """The last lines of this instance's own log, oldest first."""
    settings = app_state().settings
    lines = read_log_tail(settings.instance_dir / "logs", _asked(Lines).limit)
    return {"instance": settings.instance, "count": len(lines), "lines": lines}


@blueprint.get("/api/drift_report")
def drift_report() -> dict[str, Any]:
    """The newest stored report on an arm's visitors, with its age: computing one is the evaluation's and the DAG's."""
    service, asked = app_state(), _asked(Drift)
    variant = asked.variant or service.settings.variant
    with transaction(service.engine) as connection:
        report = drift_reports.newest(connection, variant, asked.hours)
    return drift_answer(report, variant, asked.hours, datetime.now(UTC))


def _asked(query: type[_Asked]) -> _Asked:
    try:
        return query.model_validate(request.args.to_dict())
    except ValidationError as error:
        raise InvalidInput({str(e["loc"][0]): e["msg"] for e in error.errors()}) from None


def _window(hours: int) -> tuple[datetime, datetime]:
    until = datetime.now(UTC)
    return until - timedelta(hours=hours), until


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


# What `GET /api/drift_report` answers: a stored report in its classic shape, or that there is none yet.


STATUSES = ("ok", "insufficient_data", "no_report")


def drift_answer(report: Report | None, variant: Variant, hours: int, now: datetime) -> dict[str, Any]:
    """The newest stored report on an arm and a window, with its age in seconds."""
    asked = {"variant": variant, "hours": hours}
    if report is None:
        return {
            "status": "no_report",
            "timestamp": now.isoformat(),
            "age_seconds": None,
            "data_points": 0,
            "drift_indicators": {},
            "overall_drift_detected": False,
            "sentence": f"No report on {variant} with a window of {hours} hours has been stored yet.",
            "model_version": None,
            **asked,
        }
    at = report.ts or report.window_end
    return {
        **report.summary,
        "timestamp": at.isoformat(),
        "age_seconds": round((now - at).total_seconds(), 3),
        "data_points": report.data_points,
        "window_start": report.window_start.isoformat(),
        "window_end": report.window_end.isoformat(),
        "model_version": report.bundle,
        **asked,
    }
