"""Stored drift reports: write them, and read the newest.

Serving, the decision policy and the exporter read reports from here, without SciPy; `homeprices.drift` computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Interval, bindparam, desc, insert, select, text
from sqlalchemy.sql import Select

from homeprices.names import Variant
from homeprices.predictions.tables import drift_reports

STALE_AFTER = timedelta(days=2)
"""An older report, after two missed days, is out of date."""


@dataclass(frozen=True)
class Report:
    """A stored report: its variant, bundle, window, number of homes, and result (`summary`)."""

    variant: Variant
    bundle: str
    window_start: datetime
    window_end: datetime
    data_points: int
    summary: dict[str, Any]
    ts: datetime | None = None

    @property
    def hours(self) -> int:
        """The length of the window."""
        return round((self.window_end - self.window_start) / timedelta(hours=1))


def store(connection: Connection, report: Report) -> None:
    """Store a report, unless one of the same run, variant and window exists. `summary["run"]` names the run."""
    if of_run(connection, report.variant, report.hours, str(report.summary["run"])) is None:
        values = {name: value for name, value in vars(report).items() if name != "ts"}
        connection.execute(insert(drift_reports).values(values))


def newest(connection: Connection, variant: Variant, hours: int) -> Report | None:
    """Return the newest report on a variant with a window of `hours`, or None."""
    row = connection.execute(_reports(variant, hours).limit(1)).one_or_none()
    return None if row is None else Report(**row._mapping)


def of_run(connection: Connection, variant: Variant, hours: int, run: str) -> Report | None:
    """Return the report of a run on a variant with a window of `hours`, or None."""
    query = _reports(variant, hours).where(drift_reports.c.summary["run"].astext == run)
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else Report(**row._mapping)


_DAILY = text(
    """
    SELECT DISTINCT ON (date_trunc('day', window_end))
           variant, bundle, window_start, window_end, data_points, summary, ts
    FROM drift_reports
    WHERE variant = :variant AND window_end - window_start = make_interval(hours => :hours)
      AND window_end <= :until AND window_end > :since
    ORDER BY date_trunc('day', window_end), window_end DESC, id DESC
    """
)


def daily(connection: Connection, variant: Variant, hours: int, until: datetime, days: int) -> list[Report]:
    """Return the last report of each of the last `days` days, oldest first; days without a report are left out."""
    window = {"variant": variant, "hours": hours, "until": until, "since": until - timedelta(days=days)}
    return [Report(**row._mapping) for row in connection.execute(_DAILY, window)]


def drift_notes(connection: Connection, bundles: Sequence[str], now: datetime) -> str | None:
    """Return the drift in the newest daily reports of these bundles, a sentence each; None without drift.

    Reports older than `STALE_AFTER` are ignored. A decision policy may read the result (`Evidence.drift`).
    """
    values = {"bundles": list(bundles), "since": now - STALE_AFTER}
    notes = {row.bundle: _drifting(row.summary) for row in connection.execute(_NEWEST_OF_DAY, values)}
    return " ".join(f"{bundle}: {notes[bundle]}" for bundle in bundles if notes.get(bundle)) or None


_NEWEST_OF_DAY = text(
    """
    SELECT DISTINCT ON (bundle) bundle, summary FROM drift_reports
    WHERE bundle = ANY(:bundles) AND ts > :since AND window_end - window_start <= interval '1 day'
    ORDER BY bundle, ts DESC, id DESC
    """
)


def _drifting(summary: dict[str, Any]) -> str:
    """Return a report's sentences on drift of the inputs and of the error; empty without drift."""
    error = summary.get("error") or {}
    sentences = []
    if summary.get("overall_drift_detected"):
        sentences.append(str(summary.get("sentence") or ", ".join(summary.get("drifted", []))))
    if error.get("drift"):
        sentences.append(str(error.get("sentence") or "the error has grown"))
    return " ".join(sentences)


def _reports(variant: Variant, hours: int) -> Select[Any]:
    columns = drift_reports.c
    length = bindparam("length", timedelta(hours=hours), type_=Interval)
    return (
        select(
            columns.variant,
            columns.bundle,
            columns.window_start,
            columns.window_end,
            columns.data_points,
            columns.summary,
            columns.ts,
        )
        .where(columns.variant == variant, columns.window_end - columns.window_start == length)
        .order_by(desc(columns.ts), desc(columns.id))
    )
