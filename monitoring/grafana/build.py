"""Generator of Grafana's JSON from the dashboards: `python -m monitoring.grafana.build`; `--check` fails when it is stale."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import barchart, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from monitoring.grafana.dashboards import DASHBOARDS
from monitoring.grafana.panels import Annotation, Dashboard, Panel, Prom, Sql

FOLDER = Path(__file__).parent / "dashboards"
PROMETHEUS = models.DataSourceRef("prometheus", "homeprices-prometheus")
POSTGRES = models.DataSourceRef("grafana-postgresql-datasource", "homeprices-postgres")


class SqlQuery(Builder[Dataquery], Dataquery):
    """A query of Grafana's PostgreSQL data source, for which the SDK has no builder."""

    def __init__(self, sql: str, ref: str, form: str) -> None:
        self._query = {
            "datasource": POSTGRES,
            "editorMode": "code",
            "format": form,
            "rawQuery": True,
            "rawSql": sql,
            "refId": ref,
        }

    def build(self) -> Dataquery:
        return self

    def to_json(self) -> dict[str, object]:
        """Return the query as Grafana stores it."""
        return dict(self._query)


class SqlAnnotation(Builder[Any]):
    """Annotations from a database query. For data sources other than Grafana's own, the target is the query."""

    def __init__(self, annotation: Annotation) -> None:
        self._annotation = annotation

    def build(self) -> Any:
        built = dashboard.AnnotationQuery().name(self._annotation.name).datasource(POSTGRES).enable(True)
        query = built.icon_color(self._annotation.color).build()
        query.target = SqlQuery(self._annotation.sql, "Annotation", "table")  # type: ignore[assignment]
        return query


def render(page: Dashboard) -> str:
    """Return the JSON of a dashboard. Equal dashboards give equal text."""
    builder = (
        dashboard.Dashboard(page.title)
        .uid(page.uid)
        .description(page.description)
        .tags(["homeprices"])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time(page.window, "now")
        .refresh("30s")
        .timezone("browser")
        .link(
            dashboard.DashboardLink("homeprices")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["homeprices"])
            .keep_time(True)
        )
    )
    for annotation in page.annotations:
        builder = builder.annotation(SqlAnnotation(annotation))
    number = 0
    for row in page.rows:
        number += 1
        builder = builder.with_row(dashboard.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            builder = builder.with_panel(_panel(panel, number))
    return json.dumps(builder.build(), cls=JSONEncoder, sort_keys=True, indent=2) + "\n"


def _panel(panel: Panel, number: int) -> Any:
    builder = _SHAPES[panel.kind](panel)
    builder = (
        builder.id(number)
        .title(panel.title)
        .description(panel.description)
        .unit(panel.unit)
        .span(panel.width)
        .height(panel.height)
        .datasource(POSTGRES if isinstance(panel.queries[0], Sql) else PROMETHEUS)
    )
    if panel.decimals is not None:
        builder = builder.decimals(panel.decimals)
    for index, query in enumerate(panel.queries):
        builder = builder.with_target(_target(panel, query, chr(ord("A") + index)))
    return builder


def _target(panel: Panel, query: Prom | Sql, ref: str) -> Any:
    if isinstance(query, Sql):
        return SqlQuery(query.sql, ref, "time_series" if panel.kind == "lines" else "table")
    built = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref).datasource(PROMETHEUS)
    return built.range() if panel.kind == "lines" else built.instant()


def _lines(panel: Panel) -> Any:
    shape = (
        timeseries.Panel()
        .line_width(1.5)
        .fill_opacity(8)
        .show_points(common_models.VisibilityMode.AUTO)
        .span_nulls(False)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
    )
    return shape.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL)) if panel.stacked else shape


def _stat(_panel: Panel) -> Any:
    return (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .color_mode(common_models.BigValueColorMode.NONE)
        .text_mode(common_models.BigValueTextMode.VALUE_AND_NAME)
    )


def _bars(_panel: Panel) -> Any:
    return barchart.Panel().fill_opacity(70).show_value(common_models.VisibilityMode.NEVER)


def _table(_panel: Panel) -> Any:
    return table.Panel().filterable(False)


_SHAPES = {"lines": _lines, "stat": _stat, "bars": _bars, "table": _table}


def main(arguments: list[str] | None = None) -> int:
    """Write every dashboard, or with `--check` print those that are stale."""
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.grafana.build", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when a file is stale")
    check = parser.parse_args(arguments).check
    stale = []
    for page in DASHBOARDS:
        file, text = FOLDER / f"{page.title.lower()}.json", render(page)
        if not check:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            stale.append(file.name)
    if stale:
        print(f"{', '.join(stale)}: stale; run `make dashboards` and commit", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
