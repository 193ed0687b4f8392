"""Asks a panel's queries as Grafana would, of a real Prometheus and a real PostgreSQL."""

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
        values: dict[str, str] = {"query": fill_promql(query.expr, window.start, window.end, window.step_seconds)}
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
        filled = fill_sql(sql, window.start, window.end, window.step_seconds)
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


# Grafana's macros as Grafana fills them in, for tests and pictures that ask the same queries without it.


_GROUP = re.compile(r"\$__timeGroupAlias\(\s*([\w.]+)\s*,\s*\$__interval\s*\)")
_FILTER = re.compile(r"\$__timeFilter\(\s*([\w.]+)\s*\)")

LEAST_RATE_SECONDS = 60  # Grafana: four scrapes


def fill_sql(text: str, start: datetime, end: datetime, step_seconds: int) -> str:
    """The SQL that Grafana would send for a window and a width of the points."""
    text = _GROUP.sub(rf'floor(extract(epoch from \1)/{step_seconds})*{step_seconds} AS "time"', text)
    text = _FILTER.sub(rf"\1 BETWEEN '{start.isoformat()}' AND '{end.isoformat()}'", text)
    return _complete(text)


def fill_promql(text: str, start: datetime, end: datetime, step_seconds: int) -> str:
    """The PromQL that Grafana would send."""
    rate = max(LEAST_RATE_SECONDS, 4 * step_seconds)
    text = text.replace("$__rate_interval", f"{rate}s").replace("$__range", f"{round((end - start).total_seconds())}s")
    return _complete(text)


def _complete(text: str) -> str:
    if "$__" in text:
        raise ValueError(f"a macro that is not known here: {text}")
    return text


# Asks every query of every page, as Grafana would, and names those that answer nothing: `python -m monitoring.grafana.query_runner`.
#
# It needs no Grafana and no picture, so it runs where the exporter runs, with the exporter's right to read the database.


POINTS = 240  # across a page


def window_of(minutes: float, end: datetime) -> Window:
    """The last so many minutes before `end`."""
    length = timedelta(minutes=minutes)
    return Window(end - length, end, max(1, round(length.total_seconds() / POINTS)))


def unanswered(page: Dashboard, panel: Panel, answers: list[Answer]) -> list[str]:
    """The queries of a panel that a reader would find empty: "page: panel: query", with the server's reason if it gave one."""
    return [
        f"{page.title}: {panel.title}: {' '.join(str(query).split())}" + (f" ({answer.error})" if answer.error else "")
        for query, answer in zip(panel.queries, answers, strict=True)
        if answer.empty
    ]


def ask(asker: Asker, window: Window) -> tuple[int, list[str]]:
    """How many queries were asked, and those that answered nothing. Raises httpx.HTTPError, DatabaseUnavailable."""
    asked, silent = 0, []
    for page in DASHBOARDS:
        for panel in page.panels:
            answers = asker.ask(panel, window)
            asked += len(answers)
            silent += unanswered(page, panel, answers)
        for annotation in page.annotations:
            asker.annotations(annotation, window)
            asked += 1
    return asked, silent


def main(arguments: list[str] | None = None) -> int:
    """The command line. 1 when something cannot be asked, or with `--strict` when a query answers nothing."""
    from homeprices.adapters.database import open_engine
    from homeprices.settings import load_settings

    parser = argparse.ArgumentParser(
        prog="python -m monitoring.grafana.query_runner", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its address (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="how far back (%(default)s)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a query answers nothing")
    chosen = parser.parse_args(arguments)
    try:
        engine = open_engine(load_settings())
        asker = Asker(chosen.prometheus, engine)
        asked, silent = ask(asker, window_of(chosen.minutes, datetime.now(UTC)))
    except (HomePricesError, httpx.HTTPError) as error:
        print(f"ask: {error}", file=sys.stderr)
        return 1
    asker.close()
    engine.dispose()
    print("\n".join([*(f"no data: {one}" for one in silent), f"asked {asked} queries, {len(silent)} without data"]))
    return 1 if silent and chosen.strict else 0


if __name__ == "__main__":
    raise SystemExit(main())
