"""Charts of reports: their labels do not overlap and have units, their SVG is safe, repeatable and follows the page."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import date, timedelta
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from homeprices.reporting.charts import Line, TimeChart, daily_values, share_bars, to_svg

HOURLY = [1, 2, 50, 336]
ROOT = Path(__file__).parents[3]


def drawn(figure: Figure) -> dict[str, list[Bbox]]:
    """Draw the figure, and return the box of every text that was drawn."""
    boxes: dict[str, list[Bbox]] = {}

    class Renderer(RendererAgg):  # type: ignore[misc]  # Matplotlib's backends have no types
        def draw_text(self, gc, x, y, s, prop, angle, ismath=False, mtext: Text | None = None) -> None:  # type: ignore[no-untyped-def]
            assert mtext is not None
            boxes.setdefault(s, []).append(mtext.get_window_extent(self))
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)

    FigureCanvasAgg(figure)
    figure.draw(Renderer(figure.bbox.width, figure.bbox.height, figure.dpi))
    return boxes


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts of which one covers a part of the other, and texts that leave the figure."""
    texts = [(text, box) for text, found in drawn(figure).items() for box in found]
    pairs = [(a, b) for (a, one), (b, other) in combinations(texts, 2) if one.overlaps(other)]
    return pairs + [(text, "edge") for text, box in texts if not figure.bbox.padded(1).contains(*box.p0)
                    or not figure.bbox.padded(1).contains(*box.p1)]  # fmt: skip


def effect(looks: int) -> TimeChart:
    points = [(hour, 0.02 * hour / looks) for hour in range(1, looks + 1)]
    band = [(value - 0.1, value + 0.1) for _, value in points]
    line = Line("candidate minus production, with its confidence sequence", points, band)
    return TimeChart("Effect", "", [line], [("promote above", 0.0), ("harm below", 0.0)])


def exposures(looks: int) -> TimeChart:
    lines = [
        Line(name, [(hour, n * hour) for hour in range(1, looks + 1)]) for name, n in (("production", 4), ("b", 1))
    ]
    return TimeChart("Exposures", "requests", lines, [("one limit", 3.0), ("another limit", 3.01)])


@pytest.mark.parametrize("looks", HOURLY)
def test_no_label_covers_another(looks: int) -> None:
    start = date(2026, 1, 1)
    history = [(str(start + timedelta(days=day)), day % 7 / 10, day % 5 == 0) for day in range(looks)]
    for figure in (effect(looks).figure(), exposures(looks).figure(), daily_values(history, "stability index")):
        assert overlaps(figure) == []


def test_labels_that_do_cover_each_other_are_found() -> None:
    figure = effect(50).figure()
    figure.axes[0].text(1, 0.05, "one")
    figure.axes[0].text(1, 0.05, "another")
    figure.text(0.95, 0.5, "leaves the figure")
    assert overlaps(figure) == [("one", "another"), ("leaves the figure", "edge")]


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        (1, {"0", "20 min", "60 min"}),
        (2, {"0", "1 h", "2 h"}),
        (50, {"0", "1 day", "2 days"}),
        (336, {"6 days", "9 days"}),
    ],
)
def test_time_is_in_a_unit_that_fits(looks: int, expected: set[str]) -> None:
    assert expected <= drawn(effect(looks).figure()).keys()


def test_values_have_their_unit_and_counts_are_whole() -> None:
    texts = drawn(exposures(50).figure())
    assert {"0", "50 requests", "200 requests", "one limit 3 requests"} <= texts.keys()
    few = drawn(TimeChart("Exposures", "requests", [Line("a", [(1, 1), (2, 2)])]).figure())
    assert {"1 request", "2 requests"} <= few.keys() and not any("." in text for text in few)
    assert "10,000 requests" in drawn(TimeChart("E", "requests", [Line("a", [(1, 12_500)])]).figure())
    shares = drawn(share_bars([("costs $1 or $2", 0.2, 0.8), ("b", 0.8, 0.2)]))
    assert {"40 %", "20 → 80 %", "costs $1 or $2"} <= shares.keys()


def test_one_look_shows_its_interval() -> None:
    """Low and high are where the evidence has them, and the axis holds both."""
    axes = effect(1).figure().axes[0]
    [bar] = [each for each in axes.collections if isinstance(each, LineCollection)]
    [segment] = bar.get_segments()
    assert [tuple(end) for end in segment] == [(60, pytest.approx(-0.08)), (60, pytest.approx(0.12))]
    low, high = axes.get_ylim()
    assert low < -0.08 and high > 0.12
    assert not any(isinstance(each, PolyCollection) for each in axes.collections)


def test_several_looks_show_a_band() -> None:
    axes = effect(2).figure().axes[0]
    assert [type(each).__name__ for each in axes.collections] == ["FillBetweenPolyCollection"]


def test_the_value_axis_fits_settled_values_and_every_limit() -> None:
    """Of 336 looks, the first have a band of stars; what the last differ by is a hundredth of that."""
    points = [(hour, 1 / hour) for hour in range(1, 337)]
    line = Line("effect", points, [(y - 20 * y, y + 20 * y) for _, y in points])
    since = 336 * 0.2
    for limits in ([], [("promote above", 0.5)]):
        low, high = TimeChart("E", "", [line], limits, settled=True).figure().axes[0].get_ylim()
        top = max(21 / since, *(value for _, value in limits), 0.0)
        assert -19 / since > low > -1 and top < high < top + 0.1
    everything = TimeChart("E", "", [line]).figure().axes[0].get_ylim()
    assert everything[1] > 20

    flat = TimeChart("E", "", [Line("a", [(1, 3.0)])], settled=True).figure().axes[0].get_ylim()
    assert flat[0] < 3 < flat[1]


def test_limits_of_one_value_share_a_line() -> None:
    assert "promote above / harm below 0" in drawn(effect(2).figure())


def test_the_same_values_give_the_same_svg() -> None:
    one, other = (to_svg(effect(50).figure(), "Effect") for _ in range(2))
    assert one == other
    assert not re.search(r"20\d\d-\d\d-\d\d|Matplotlib v", one)


def test_a_chart_takes_the_colours_of_its_page() -> None:
    """Nothing is painted but the lines: a white background or black text would be lost on one of the schemes."""
    svg = to_svg(exposures(50).figure(), "Exposures")
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) == {"#0072b2", "#d55e00"}
    assert "currentColor" in svg
    for text in ET.fromstring(svg).iter("text"):
        assert "fill: currentColor" in text.get("style", "")


def test_ids_of_two_charts_of_a_page_differ() -> None:
    ids = [set(re.findall(r' id="([^"]+)"', to_svg(effect(2).figure(), title))) for title in ("One", "Two")]
    assert ids[0] and not ids[0] & ids[1]
    svg = to_svg(effect(2).figure(), "One")
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= ids[0] and set(re.findall(r'href="#([^"]+)"', svg)) <= ids[0]


def test_names_are_text_in_the_svg() -> None:
    figure = TimeChart("T", "", [Line("<script>alert(1)</script> & b", [(1, 1)])]).figure()
    svg = to_svg(figure, 'a "title" <b>')
    assert "<script>" not in svg and "<b>" not in svg
    ET.fromstring(svg)


def test_bars_of_long_names_and_small_shares_do_not_overlap() -> None:
    groups = [(f"a locality with a long name, number {number}", number / 100, 0.0001) for number in range(13)]
    assert overlaps(share_bars(groups)) == []
    assert overlaps(share_bars([("nothing", 0.0, 0.0)])) == []


def test_charts_do_not_load_pyplot() -> None:
    """Its state would be shared by the threads of a process."""
    script = "import sys, homeprices.reporting.charts; print('matplotlib.pyplot' in sys.modules)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, timeout=120)
    assert done.stdout.strip() == "False"
