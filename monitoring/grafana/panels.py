"""Dashboards as values, from which Grafana's JSON is generated, the queries are tested, and pictures are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["lines", "stat", "bars", "table"]

GRID = 24  # columns of Grafana's grid


@dataclass(frozen=True)
class Prom:
    """A PromQL query. `legend` is Grafana's format, `{{label}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Sql:
    """A query of the homeprices database, with Grafana's macros. For lines its first column is `time`."""

    sql: str


@dataclass(frozen=True)
class Panel:
    """One panel of a dashboard. `unit` is one of Grafana's; width and height are in its grid."""

    title: str
    description: str
    queries: tuple[Prom | Sql, ...]
    kind: Kind = "lines"
    unit: str = "short"
    width: int = 8
    height: int = 8
    stacked: bool = False
    decimals: int | None = None


@dataclass(frozen=True)
class Row:
    """A group of panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Annotation:
    """Marks over every panel, from a database query with the columns `time`, `text` and `tags`."""

    name: str
    sql: str
    color: str = "purple"


@dataclass(frozen=True)
class Dashboard:
    """A dashboard. `uid` is part of its address and must not change."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    annotations: tuple[Annotation, ...] = ()
    window: str = "now-6h"

    @property
    def panels(self) -> Iterator[Panel]:
        """Every panel, in order."""
        return (panel for row in self.rows for panel in row.panels)


def stat(
    title: str, description: str, *queries: Prom | Sql, unit: str = "short", width: int = 6, decimals: int | None = None
) -> Panel:
    """Return a panel that shows the latest value as a large number."""
    return Panel(title, description, queries, "stat", unit, width, 5, decimals=decimals)


def lines(
    title: str, description: str, *queries: Prom | Sql, unit: str = "short", width: int = 8, stacked: bool = False
) -> Panel:
    """Return a time series panel."""
    return Panel(title, description, queries, "lines", unit, width, 8, stacked)


def bars(title: str, description: str, *queries: Prom | Sql, unit: str = "short", width: int = 8) -> Panel:
    """Return a bar chart; the first column of the query names the bars."""
    return Panel(title, description, queries, "bars", unit, width, 8)


def table(title: str, description: str, *queries: Prom | Sql, width: int = 12) -> Panel:
    """Return a table panel."""
    return Panel(title, description, queries, "table", "short", width, 8)
