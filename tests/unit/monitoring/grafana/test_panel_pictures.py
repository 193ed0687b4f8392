"""Pictures of panels: no line over a gap without measurements, scales from zero, numbers with units."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitoring.grafana.panels import Annotation, Dashboard, Panel, Prom, Row, Sql
from monitoring.grafana.pictures import draw, limits, shown, with_gaps
from monitoring.grafana.query_runner import Answer, Series, Window

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(hours=1), NOW, 15)


def test_a_line_is_broken_where_points_are_missing() -> None:
    times, values = with_gaps(Series("up", (0.0, 15.0, 300.0), (1.0, 1.0, 1.0)), 15)
    assert times == [0.0, 15.0, 30.0, 300.0]
    assert [math.isnan(value) for value in values] == [False, False, True, False]


@pytest.mark.parametrize(
    ("values", "low", "least_high"),
    [((0.0, 4.0), 0.0, 4.0), ((1.0, 1.0), 0.0, 1.0), ((0.0, 0.0), 0.0, 1.0), ((76.0, 83.0, math.nan), 75.65, 83.0)],
)
def test_a_scale_begins_at_zero_unless_all_values_are_far_from_it(
    values: tuple[float, ...], low: float, least_high: float
) -> None:
    seen = limits(values, rows_of_names=2)
    assert seen[0] == pytest.approx(low) and seen[1] > least_high
    assert limits(values, rows_of_names=4)[1] > seen[1], "more names, more room above the lines"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0012, "percentunit", "0.12 %"), (0.997, "percentunit", "99.7 %"), (0.0834, "s", "83.4 ms"), (7200, "s", "2 h"),
     (0, "s", "0"), (1.5, "reqps", "1.5/s"), (12345, "short", "12,345"), (41.4, "percent", "41 %")],
)  # fmt: skip
def test_numbers_have_the_unit_of_their_panel(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_a_page_is_drawn_with_every_kind_of_panel_and_one_that_has_no_data(tmp_path: Path) -> None:
    kinds: tuple[Any, ...] = ("lines", "stat", "bars", "table", "lines")
    panels = tuple(Panel(f"{number}", "", (Prom("up") if kind == "lines" else Sql("select 1"),), kind, width=12)
                   for number, kind in enumerate(kinds))  # fmt: skip
    page = Dashboard("uid", "Page", "Everything.", (Row("all", panels),), (Annotation("decisions", "select 1"),))
    stamp = NOW.timestamp()
    line = Answer((Series("a", (stamp - 60, stamp - 45), (1.0, 2.5)),))
    rows = Answer(columns=("place", "homes"), rows=(("Whitefield", 3), ("Hebbal", None)))
    answers = dict(zip(panels, ([line], [line], [rows], [rows], [Answer()]), strict=True))
    draw(page, answers, Answer(columns=("time",), rows=((stamp - 50,),)), WINDOW, tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
