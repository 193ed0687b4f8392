"""Drift in the database: what a comparison needs out of the prediction log, and the reports that came of it.

Serving, the decision policy and the exporter read the newest report here; computing one needs scipy and is done in
`homeprices.drift`.
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
"""A report that is older than two missed days says nothing about now."""


@dataclass(frozen=True)
class Report:
    """A stored report: which arm and bundle, the window that it looked at, how many homes, and all that was found."""

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
    """Write a report. One of the same run, arm and window is not written twice: `summary["run"]` names the run."""
    if of_run(connection, report.variant, report.hours, str(report.summary["run"])) is None:
        values = {name: value for name, value in vars(report).items() if name != "ts"}
        connection.execute(insert(drift_reports).values(values))


def newest(connection: Connection, variant: Variant, hours: int) -> Report | None:
    """The newest report on an arm whose window has so many hours."""
    row = connection.execute(_reports(variant, hours).limit(1)).one_or_none()
    return None if row is None else Report(**row._mapping)


def of_run(connection: Connection, variant: Variant, hours: int, run: str) -> Report | None:
    """The report of a run on an arm, with a window of so many hours."""
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
    """The last report of each of the last `days` days that has one, oldest first."""
    window = {"variant": variant, "hours": hours, "until": until, "since": until - timedelta(days=days)}
    return [Report(**row._mapping) for row in connection.execute(_DAILY, window)]


def drift_notes(connection: Connection, bundles: Sequence[str], now: datetime) -> str | None:
    """What the newest reports on the last day of these bundles found, in a sentence each; None when that is nothing.

    A report that is too old says nothing about now, and one on another bundle nothing about these. This is what a
    decision policy may read (`Evidence.drift`).
    """
    values = {"bundles": list(bundles), "since": now - STALE_AFTER}
    found = {row.bundle: _drifting(row.summary) for row in connection.execute(_NEWEST_OF_DAY, values)}
    return " ".join(f"{bundle}: {found[bundle]}" for bundle in bundles if found.get(bundle)) or None


_NEWEST_OF_DAY = text(
    """
    SELECT DISTINCT ON (bundle) bundle, summary FROM drift_reports
    WHERE bundle = ANY(:bundles) AND ts > :since AND window_end - window_start <= interval '1 day'
    ORDER BY bundle, ts DESC, id DESC
    """
)


def _drifting(summary: dict[str, Any]) -> str:
    """What a report says of a drift, of the inputs and of the error; empty without one."""
    error = summary.get("error") or {}
    said = []
    if summary.get("overall_drift_detected"):
        said.append(str(summary.get("sentence") or ", ".join(summary.get("drifted", []))))
    if error.get("drift"):
        said.append(str(error.get("sentence") or "the error has grown"))
    return " ".join(said)


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
