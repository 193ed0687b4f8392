"""Asks a panel's queries as Grafana would, of a real Prometheus and a real PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import text

from homeprices.adapters.database import transaction
from monitoring.grafana import macros
from monitoring.grafana.panels import Annotation, Panel, Prom, Sql

if TYPE_CHECKING:
    from sqlalchemy import Engine

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Window:
    """The stretch of time that a page shows, and the width of its points in seconds."""

    start: datetime
    end: datetime
    step_seconds: int


@dataclass(frozen=True)
class Series:
    """A named line; times in seconds since 1970."""

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """What a query answers: series, or a table. `error` is what the server said instead."""

    series: tuple[Series, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    error: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show: no value that is a number, and no row with anything in it."""
        numbers = any(value == value for one in self.series for value in one.values)  # NaN differs from itself
        return not numbers and not any(value is not None for row in self.rows for value in row)


class Asker:
    """Asks Prometheus at `prometheus` (base URL) and the homeprices database behind `engine`."""

    def __init__(self, prometheus: str, engine: Engine) -> None:
        self._client = httpx.Client(base_url=prometheus, timeout=TIMEOUT_SECONDS)
        self._engine = engine

    def ask(self, panel: Panel, window: Window) -> list[Answer]:
        """An answer for each query of the panel, in order. Raises httpx.HTTPError, DatabaseUnavailable, SQLAlchemyError."""
        return [
            self._sql(query.sql, window, over_time=panel.kind == "lines")
            if isinstance(query, Sql)
            else self._prom(query, window, over_time=panel.kind == "lines")
            for query in panel.queries
        ]

    def annotations(self, annotation: Annotation, window: Window) -> Answer:
        """The marks of a page."""
        return self._sql(annotation.sql, window, over_time=False)

    def close(self) -> None:
        """Close the connections to Prometheus."""
        self._client.close()

    def _prom(self, query: Prom, window: Window, *, over_time: bool) -> Answer:
        values: dict[str, str] = {"query": macros.promql(query.expr, window.start, window.end, window.step_seconds)}
        if over_time:
            start, end = window.start.timestamp(), window.end.timestamp()
            values |= {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{window.step_seconds}"}
        else:
            values["time"] = f"{window.end.timestamp():.3f}"
        said = self._client.post(f"/api/v1/query{'_range' if over_time else ''}", data=values).json()
        if said["status"] != "success":
            return Answer(error=str(said.get("error")))
        return Answer(tuple(_series(query.legend, one) for one in said["data"]["result"]))

    def _sql(self, sql: str, window: Window, *, over_time: bool) -> Answer:
        filled = macros.sql(sql, window.start, window.end, window.step_seconds)
        with transaction(self._engine) as connection:
            result = connection.execute(text(filled.replace(":", r"\:")))
            columns, rows = tuple(result.keys()), tuple(tuple(row) for row in result)
        return Answer(_pivot(columns, rows)) if over_time else Answer(columns=columns, rows=rows)


def _series(legend: str, said: dict[str, Any]) -> Series:
    labels = said["metric"]
    name = re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend) or str(labels)
    points = said["values"] if "values" in said else [said["value"]]
    return Series(name.strip(), tuple(float(at) for at, _ in points), tuple(float(value) for _, value in points))


def _pivot(columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> tuple[Series, ...]:
    """Lines out of rows that begin with `time`; a column `metric` names them."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        values = dict(zip(columns, row, strict=True))
        at, metric = _seconds(values.pop("time")), str(values.pop("metric", ""))
        for column, value in values.items():
            if value is not None:
                found.setdefault(f"{metric} {column}".strip(), []).append((at, float(value)))
    return tuple(Series(name, *(tuple(part) for part in zip(*points, strict=True))) for name, points in found.items())


def _seconds(value: Any) -> float:
    return value.astimezone(UTC).timestamp() if isinstance(value, datetime) else float(value)
