"""The routes for operators: metrics, logs and the drift report, for trusted networks and keys with the scope `operate`.

Inputs of visitors and the state of this instance are not public, so the log records each use.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeprices.adapters.database import snapshot, transaction
from homeprices.errors import InvalidInput
from homeprices.input_field import bounded
from homeprices.log import get_logger
from homeprices.names import Variant
from homeprices.predictions import drift_reports, log_queries
from homeprices.predictions.drift_reports import Report
from homeprices.predictions.log_queries import LogType, hour_of
from inference.backend.api.original_clients import drift_members, metrics_members
from inference.backend.runtime.app_state import app_state
from inference.backend.runtime.process import read_log_tail
from inference.backend.runtime.request_context import Caller
from inference.backend.runtime.service_metrics import CONTENT_TYPE

METRICS_PATH = "/metrics"
STATUSES = ("ok", "insufficient_data", "no_report")  # of a drift report

blueprint = Blueprint("operations", __name__)
log = get_logger(__name__)


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Query):
    """The time window: the last `hours`."""

    hours: int = Field(24, ge=1, le=24 * 31)


class Drift(Window):
    """The window of the report (24 and 168 hours are stored) and its variant, by default that of this instance."""

    variant: Variant | None = None


class Rows(_Query):
    """The log to read, and the number of its rows."""

    type: LogType = "predictions"
    limit: int = Field(100, ge=1, le=1000)


class Lines(_Query):
    """The number of lines."""

    limit: int = Field(100, ge=1, le=1000)


_QueryT = TypeVar("_QueryT", bound=_Query)


@blueprint.after_request
def record_use(response: Response) -> Response:
    """Log who asked. The scrapes of a trusted Prometheus, four a minute, are left out."""
    caller: Caller = g.caller
    if caller.key is not None or (caller.insider and request.path != METRICS_PATH):
        log.info(
            "operation_used",
            by=f"key {caller.key}" if caller.key else "trusted network",
            path=request.path,
            status=response.status_code,
            request_id=caller.request_id,
        )
    return response


@blueprint.get(METRICS_PATH)
def prometheus() -> Response:
    """The metrics of all workers of this instance, for Prometheus."""
    return Response(app_state().metrics.exposition(), content_type=CONTENT_TYPE)


@blueprint.get("/api/metrics")
def metrics() -> dict[str, Any]:
    """Traffic and feedback of the last hours by serving variant, from the prediction log."""
    state, hours = app_state(), _parse_query(Window).hours
    since, until = _window(hours)
    since = hour_of(since)
    with snapshot(state.engine) as connection:
        variants = log_queries.metrics(connection, since=since, until=until)
    variant = state.settings.variant
    return {
        **metrics_members(variant, hours, until, variants.get(variant, {})),
        "hours": hours,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "variants": variants,
    }


@blueprint.get("/api/logs")
def logs() -> dict[str, Any]:
    """The newest predictions, feedback, decisions or drift reports, newest first."""
    query = _parse_query(Rows)
    with transaction(app_state().engine) as connection:
        rows = log_queries.logs(connection, query.type, query.limit)
    return {"type": query.type, "count": len(rows), "logs": [_plain(row) for row in rows]}


@blueprint.get("/api/logs/tail")
def tail() -> dict[str, Any]:
    """The last lines of this instance's own log, oldest first."""
    settings = app_state().settings
    lines = read_log_tail(settings.instance_dir / "logs", _parse_query(Lines).limit)
    return {"instance": settings.instance, "count": len(lines), "lines": lines}


@blueprint.get("/api/drift_report")
def drift_report() -> dict[str, Any]:
    """The newest stored drift report of a variant, with its age. The evaluation and the drift DAG compute reports."""
    state, query = app_state(), _parse_query(Drift)
    variant = query.variant or state.settings.variant
    with transaction(state.engine) as connection:
        report = drift_reports.newest(connection, variant, query.hours)
    return drift_answer(report, variant, query.hours, datetime.now(UTC))


def _parse_query(query: type[_QueryT]) -> _QueryT:
    values, more = bounded(request.args.to_dict(), query.model_fields)
    try:
        return query.model_validate(values)
    except ValidationError as error:
        raise InvalidInput({str(e["loc"][0]): e["msg"] for e in error.errors()}, more) from None


def _window(hours: int) -> tuple[datetime, datetime]:
    until = datetime.now(UTC)
    return until - timedelta(hours=hours), until


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def drift_answer(report: Report | None, variant: Variant, hours: int, now: datetime) -> dict[str, Any]:
    """Return the response to `GET /api/drift_report`: a stored report with its age in seconds, or `no_report`."""
    window = {"variant": variant, "hours": hours}
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
            **window,
        }
    at = report.ts or report.window_end
    return {
        **report.summary,
        "drift_indicators": drift_members(report.summary.get("drift_indicators", {})),
        "timestamp": at.isoformat(),
        "age_seconds": round((now - at).total_seconds(), 3),
        "data_points": report.data_points,
        "window_start": report.window_start.isoformat(),
        "window_end": report.window_end.isoformat(),
        "model_version": report.bundle,
        **window,
    }
