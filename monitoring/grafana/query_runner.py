"""Runs the dashboards' queries against a real Prometheus and PostgreSQL, with Grafana's macros filled in.

`python -m monitoring.grafana.query_runner` runs every query of every dashboard and prints those without data. It needs
neither Grafana nor Matplotlib, so it runs in the exporter's container, with the exporter's read access to the database.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import text

from homeprices.adapters.database import transaction
from homeprices.errors import HomePricesError
from monitoring.grafana.dashboards import DASHBOARDS
from monitoring.grafana.panels import Annotation, Dashboard, Panel, Prom, Sql

if TYPE_CHECKING:
    from sqlalchemy import Engine


TIMEOUT_SECONDS = 30.0
POINTS = 240  # across a page
MIN_RATE_SECONDS = 60  # Grafana: four scrapes

_GROUP = re.compile(r"\$__timeGroupAlias\(\s*([\w.]+)\s*,\s*\$__interval\s*\)")
_FILTER = re.compile(r"\$__timeFilter\(\s*([\w.]+)\s*\)")


@dataclass(frozen=True)
class Window:
    """The time range that a dashboard shows, and the interval between its points in seconds."""

    start: datetime
    end: datetime
    step_seconds: int


@dataclass(frozen=True)
class Series:
    """A named time series; times are seconds since 1970."""

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """The result of a query: series or a table. `error` is the server's message if the query failed."""

    series: tuple[Series, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    error: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show: all values are NaN, and all rows are null."""
        numbers = any(value == value for one in self.series for value in one.values)  # NaN differs from itself
        return not numbers and not any(value is not None for row in self.rows for value in row)


class QueryRunner:
    """Runs queries against Prometheus at `prometheus` (base URL) and the homeprices database behind `engine`."""

    def __init__(self, prometheus: str, engine: Engine) -> None:
        self._client = httpx.Client(base_url=prometheus, timeout=TIMEOUT_SECONDS)
        self._engine = engine

    def run(self, panel: Panel, window: Window) -> list[Answer]:
        """Run each query of the panel, in order. Raises httpx.HTTPError, DatabaseUnavailable, SQLAlchemyError."""
        return [
            self._sql(query.sql, window, over_time=panel.kind == "lines")
            if isinstance(query, Sql)
            else self._prom(query, window, over_time=panel.kind == "lines")
            for query in panel.queries
        ]

    def annotations(self, annotation: Annotation, window: Window) -> Answer:
        """Run the query of an annotation."""
        return self._sql(annotation.sql, window, over_time=False)

    def close(self) -> None:
        """Close the connections to Prometheus."""
        self._client.close()

    def _prom(self, query: Prom, window: Window, *, over_time: bool) -> Answer:
        values: dict[str, str] = {"query": fill_promql(query.expr, window.start, window.end, window.step_seconds)}
        if over_time:
            start, end = window.start.timestamp(), window.end.timestamp()
            values |= {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{window.step_seconds}"}
        else:
            values["time"] = f"{window.end.timestamp():.3f}"
        body = self._client.post(f"/api/v1/query{'_range' if over_time else ''}", data=values).json()
        if body["status"] != "success":
            return Answer(error=str(body.get("error")))
        return Answer(tuple(_series(query.legend, one) for one in body["data"]["result"]))

    def _sql(self, sql: str, window: Window, *, over_time: bool) -> Answer:
        filled = fill_sql(sql, window.start, window.end, window.step_seconds)
        with transaction(self._engine) as connection:
            result = connection.execute(text(filled.replace(":", r"\:")))
            columns, rows = tuple(result.keys()), tuple(tuple(row) for row in result)
        return Answer(_pivot(columns, rows)) if over_time else Answer(columns=columns, rows=rows)


def _series(legend: str, result: dict[str, Any]) -> Series:
    labels = result["metric"]
    name = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend) or str(labels)
    points = result["values"] if "values" in result else [result["value"]]
    return Series(name.strip(), tuple(float(at) for at, _ in points), tuple(float(value) for _, value in points))


def _pivot(columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> tuple[Series, ...]:
    """Return the series of rows that start with `time`; a column `metric` names them."""
    by_name: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        values = dict(zip(columns, row, strict=True))
        at, metric = _seconds(values.pop("time")), str(values.pop("metric", ""))
        for column, value in values.items():
            if value is not None:
                by_name.setdefault(f"{metric} {column}".strip(), []).append((at, float(value)))
    return tuple(Series(name, *(tuple(part) for part in zip(*points, strict=True))) for name, points in by_name.items())


def _seconds(value: Any) -> float:
    return value.astimezone(UTC).timestamp() if isinstance(value, datetime) else float(value)


def fill_sql(text: str, start: datetime, end: datetime, step_seconds: int) -> str:
    """Return the SQL that Grafana would send for a time range and an interval between points."""
    text = _GROUP.sub(rf'floor(extract(epoch from \1)/{step_seconds})*{step_seconds} AS "time"', text)
    text = _FILTER.sub(rf"\1 BETWEEN '{start.isoformat()}' AND '{end.isoformat()}'", text)
    return _complete(text)


def fill_promql(text: str, start: datetime, end: datetime, step_seconds: int) -> str:
    """Return the PromQL that Grafana would send."""
    rate = max(MIN_RATE_SECONDS, 4 * step_seconds)
    text = text.replace("$__rate_interval", f"{rate}s").replace("$__range", f"{round((end - start).total_seconds())}s")
    return _complete(text)


def _complete(text: str) -> str:
    if "$__" in text:
        raise ValueError(f"unknown macro: {text}")
    return text


def window_of(minutes: float, end: datetime) -> Window:
    """Return the window of the last `minutes` before `end`."""
    length = timedelta(minutes=minutes)
    return Window(end - length, end, max(1, round(length.total_seconds() / POINTS)))


def without_data(page: Dashboard, panel: Panel, answers: list[Answer]) -> list[str]:
    """Return a line "dashboard: panel: query" for each query without data, with the server's error if there is one."""
    return [
        f"{page.title}: {panel.title}: {' '.join(str(query).split())}" + (f" ({answer.error})" if answer.error else "")
        for query, answer in zip(panel.queries, answers, strict=True)
        if answer.empty
    ]


def run_all(runner: QueryRunner, window: Window) -> tuple[int, list[str]]:
    """Run every query; return their number and the ones without data. Raises httpx.HTTPError, DatabaseUnavailable."""
    count, empty = 0, []
    for page in DASHBOARDS:
        for panel in page.panels:
            answers = runner.run(panel, window)
            count += len(answers)
            empty += without_data(page, panel, answers)
        for annotation in page.annotations:
            runner.annotations(annotation, window)
            count += 1
    return count, empty


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 1 when a server fails, or with `--strict` when a query has no data."""
    from homeprices.adapters.database import open_engine
    from homeprices.settings import load_settings

    parser = argparse.ArgumentParser(
        prog="python -m monitoring.grafana.query_runner", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its address (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="how far back (%(default)s)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a query has no data")
    options = parser.parse_args(arguments)
    try:
        engine = open_engine(load_settings())
        runner = QueryRunner(options.prometheus, engine)
        count, empty = run_all(runner, window_of(options.minutes, datetime.now(UTC)))
    except (HomePricesError, httpx.HTTPError) as error:
        print(f"query_runner: {error}", file=sys.stderr)
        return 1
    runner.close()
    engine.dispose()
    print("\n".join([*(f"no data: {one}" for one in empty), f"asked {count} queries, {len(empty)} without data"]))
    return 1 if empty and options.strict else 0


if __name__ == "__main__":
    raise SystemExit(main())
