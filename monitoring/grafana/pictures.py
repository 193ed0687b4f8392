"""Draws the dashboards as pictures, for readers without Grafana: `python -m monitoring.grafana.pictures`.

It queries any Prometheus and the homeprices database of the settings, and prints the queries without data. Matplotlib
draws each panel: lines, numbers, bars or a table.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from homeprices.errors import HomePricesError
from monitoring.grafana.dashboards import DASHBOARDS
from monitoring.grafana.panels import GRID, Dashboard, Panel
from monitoring.grafana.query_runner import Answer, QueryRunner, Series, Window, window_of, without_data

FOLDER = Path("documentations/pictures")
COLUMN_INCHES, ROW_INCHES = 0.6, 0.3  # of Grafana's grid
HEAD_INCHES = 0.4
LEFT_INCHES, RIGHT_INCHES, TOP_INCHES, BOTTOM_INCHES = 0.6, 0.15, 0.3, 0.3  # around a panel, for its labels
COLORS = ("#3274d9", "#e0752d", "#56a64b", "#8f3bb8", "#e02f44", "#0d8a9b", "#b8860b", "#7d7d7d", "#d44a8e", "#4e6b1f")
SMALL = 7.0  # points
GREY = "#666666"
NAMED_LINES = 8
"""The most lines with a name in the legend; it only counts the others."""
GAP_STEPS = 5
"""A line is broken where more than this many points are missing."""
MAX_GAP_RATIO = 1.3
"""A line with a larger ratio of points with gaps to points without is drawn as points."""
ROOM_FOR_NAMES = 0.14
"""Height of one row of names above the lines, as a share of the lines' height."""
TABLE_ROWS = 11
THOUSAND = 1000  # from here on without a fraction
MAX_HORIZONTAL_NAMES = 6  # of bars; more are rotated


def draw(page: Dashboard, answers: dict[Panel, list[Answer]], marks: Answer, window: Window, file: Path) -> None:
    """Write the dashboard as a picture: panels in Grafana's order and proportions, `marks` as vertical lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    rows = _layout(page)
    width, height = GRID * COLUMN_INCHES, HEAD_INCHES + sum(tall for tall, _ in rows) * ROW_INCHES
    with pyplot.rc_context({"font.size": 8, "axes.prop_cycle": pyplot.cycler(color=COLORS), "axes.titlesize": 9}):
        figure = pyplot.figure(figsize=(width, height))
        figure.text(LEFT_INCHES / width, 1 - 0.25 / height, f"{page.title}: {page.description}", fontsize=12)
        top = HEAD_INCHES
        for tall, panels in rows:
            left = 0.0
            for panel in panels:
                wide, high = panel.width * COLUMN_INCHES, tall * ROW_INCHES
                inner = (wide - LEFT_INCHES - RIGHT_INCHES, high - TOP_INCHES - BOTTOM_INCHES)
                corner = (left + LEFT_INCHES, height - top - high + BOTTOM_INCHES)
                rectangle = (corner[0] / width, corner[1] / height, inner[0] / width, inner[1] / height)
                draw_panel(figure.add_axes(rectangle), panel, answers[panel], marks, window)
                left += wide
            top += tall * ROW_INCHES
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=100, metadata={"Software": None})
        pyplot.close(figure)


def _layout(page: Dashboard) -> list[tuple[int, list[Panel]]]:
    """Return the lines of panels that fill the grid's width, each with the height of its tallest panel."""
    lines: list[list[Panel]] = []
    for row in page.rows:
        width = GRID
        for panel in row.panels:
            if width + panel.width > GRID:
                lines.append([])
                width = 0
            lines[-1].append(panel)
            width += panel.width
    return [(max(panel.height for panel in line), line) for line in lines]


def draw_all(runner: QueryRunner, window: Window, folder: Path) -> list[str]:
    """Draw every dashboard into `folder`; return a line "dashboard: panel: query" for each query without data."""
    missing = []
    for page in DASHBOARDS:
        answers = {panel: runner.run(panel, window) for panel in page.panels}
        marks = [runner.annotations(annotation, window) for annotation in page.annotations]
        draw(page, answers, marks[0] if marks else Answer(), window, folder / f"dashboard-{page.title.lower()}.png")
        for panel, results in answers.items():
            missing += without_data(page, panel, results)
    return missing


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 1 when a server fails."""
    from homeprices.adapters.database import open_engine
    from homeprices.settings import load_settings

    parser = argparse.ArgumentParser(
        prog="python -m monitoring.grafana.pictures", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its address (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="how far back (%(default)s)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        settings.require("postgres_host", "postgres_port")
        engine = open_engine(settings)
        runner = QueryRunner(options.prometheus, engine)
        missing = draw_all(runner, window_of(options.minutes, datetime.now(UTC)), options.folder)
    except (HomePricesError, httpx.HTTPError) as error:
        print(f"pictures: {error}", file=sys.stderr)
        return 1
    runner.close()
    engine.dispose()
    for one in missing:
        print(f"no data: {one}")
    return 0


def draw_panel(axes: Any, panel: Panel, answers: list[Answer], marks: Answer, window: Window) -> None:
    """Draw the panel's answers into Matplotlib's axes; `marks` are vertical lines in time series."""
    axes.set_title(panel.title, loc="left", fontweight="bold")
    if all(answer.empty for answer in answers):
        axes.text(0.5, 0.5, "no data", ha="center", va="center", color="#999999", transform=axes.transAxes)
        axes.axis("off")
    elif panel.kind == "lines":
        _lines(axes, panel, [one for answer in answers for one in answer.series], marks, window)
    elif panel.kind == "stat":
        _numbers(axes, panel, answers)
    elif panel.kind == "bars":
        _bars(axes, answers[0])
    else:
        _table(axes, answers[0])


def _lines(axes: Any, panel: Panel, series: list[Series], marks: Answer, window: Window) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    named = {one.name for one in sorted(series, key=_largest, reverse=True)[:NAMED_LINES]}
    for one in series:
        times, values = with_gaps(one, window.step_seconds)
        axes.plot(
            [datetime.fromtimestamp(at, UTC) for at in times],
            values,
            linewidth=1.3,
            drawstyle="steps-post" if _counts(one) else "default",
            marker="o" if len(times) < 3 or len(times) > MAX_GAP_RATIO * len(one.times) else None,
            markersize=3,
            label=one.name[:40] if one.name in named else None,
        )
    for at, *_ in marks.rows:
        axes.axvline(datetime.fromtimestamp(float(at), UTC), color="purple", linewidth=0.8, linestyle="--")
    unnamed = len(series) - len(named)
    if unnamed > 0:
        axes.plot([], [], linewidth=0, label=f"and {unnamed} more")
    names = min(len(series), NAMED_LINES) + (unnamed > 0)
    axes.set_ylim(*limits([value for one in series for value in one.values], math.ceil(names / 2)))
    axes.set_xlim(window.start, window.end)
    locator = AutoDateLocator(maxticks=5 if panel.width < 16 else 12)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, panel.unit))
    axes.locator_params(axis="y", nbins=5)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=SMALL, ncols=2, loc="upper left", frameon=False, borderpad=0.1, labelspacing=0.2)


def with_gaps(series: Series, step_seconds: float) -> tuple[list[float], list[float]]:
    """Return times and values with a NaN where points are missing, so that no line spans a gap without measurements."""
    times: list[float] = []
    values: list[float] = []
    for at, value in zip(series.times, series.values, strict=True):
        if times and at - times[-1] > GAP_STEPS * step_seconds:
            times.append(times[-1] + step_seconds)
            values.append(math.nan)
        times.append(at)
        values.append(value)
    return times, values


def limits(values: Sequence[float], rows_of_names: int) -> tuple[float, float]:
    """Return the limits of the y axis: from zero unless all values are far from it, with room for names on top."""
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known), max(known)
    if low >= 0 and (low < high / 2 or low == high):
        low = 0.0
    if high <= low:
        high = low + 1.0
    margin = (high - low) * 0.05
    return (low if low == 0 else low - margin), high + margin + (high - low) * ROOM_FOR_NAMES * rows_of_names


def _counts(series: Series) -> bool:
    """Whether the values are whole numbers, which are drawn as steps."""
    return all(value == int(value) for value in series.values if math.isfinite(value))


def _largest(series: Series) -> float:
    return max((value for value in series.values if math.isfinite(value)), default=-math.inf)


def _numbers(axes: Any, panel: Panel, answers: list[Answer]) -> None:
    axes.axis("off")
    values = [(one.name, one.values[-1]) for answer in answers for one in answer.series]
    values += [
        (answer.columns[0], float(answer.rows[0][0]))
        for answer in answers
        if answer.rows and answer.rows[0][0] is not None
    ]
    size = min(20, 1.9 * panel.width / len(values) + 8)
    for index, (name, value) in enumerate(values):
        middle = {"x": (index + 0.5) / len(values), "ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(y=0.62, s=shown(value, panel.unit, panel.decimals), fontsize=size, **middle)
        axes.text(y=0.2, s=name[:28], color=GREY, fontsize=SMALL + 1, **middle)


def _bars(axes: Any, answer: Answer) -> None:
    names = [str(row[0]) for row in answer.rows]
    groups = answer.columns[1:]
    for column, group in enumerate(groups):
        width = 0.8 / len(groups)
        middles = [index + (column - (len(groups) - 1) / 2) * width for index in range(len(names))]
        axes.bar(middles, [float(row[column + 1] or 0) for row in answer.rows], width, label=group)
    axes.set_xticks(range(len(names)), names)
    if len(names) > MAX_HORIZONTAL_NAMES:
        axes.tick_params("x", rotation=45)
    axes.spines[["top", "right"]].set_visible(False)
    if len(groups) > 1:
        axes.legend(fontsize=SMALL, frameon=False)


def _table(axes: Any, answer: Answer) -> None:
    axes.axis("off")
    cells = [[_cell(value) for value in row] for row in answer.rows[:TABLE_ROWS]]
    drawn = axes.table(
        cellText=cells, colLabels=list(answer.columns), loc="upper center", cellLoc="left", edges="horizontal"
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(SMALL)
    drawn.auto_set_column_width(range(len(answer.columns)))


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)[:60]


def shown(value: float, unit: str, decimals: int | None = None) -> str:
    """Format a number in one of Grafana's units."""
    if unit == "percentunit":
        return f"{value * 100:.{decimals}f} %" if decimals is not None else f"{value * 100:.4g} %"
    if unit == "percent":
        return f"{value:.0f} %"
    if unit == "s":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value * 1000:.3g} ms" if value else "0"
    places = decimals if decimals is not None else 0 if abs(value) >= THOUSAND else None
    text = f"{value:.4g}" if places is None else f"{value:,.{places}f}"
    return f"{text}/s" if unit == "reqps" else text


if __name__ == "__main__":
    raise SystemExit(main())
