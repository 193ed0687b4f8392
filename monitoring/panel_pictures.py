"""Draws one panel into Matplotlib's axes: lines, numbers, bars or a table, as a reader of a page can take them in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from monitoring.grafana.answers import Answer, Series, Window
from monitoring.grafana.panels import Panel

SMALL = 7.0  # points
GREY = "#666666"
NAMED_LINES = 8
"""More names than this hide the lines: the others are counted."""
GAP_STEPS = 5
"""A line is broken where so many points of the window are missing."""
FEW = 1.3
"""A line with more gaps than this is points."""
ROOM_FOR_NAMES = 0.14
"""Of the height that the lines take, for each row of names above them."""
TABLE_ROWS = 11
THOUSAND = 1000  # and more is read without a fraction
MOST_UPRIGHT = 6  # names of bars beside each other


def draw_panel(axes: Any, panel: Panel, answers: list[Answer], marks: Answer, window: Window) -> None:
    """Fill the axes with the panel's answers; `marks` are lines over lines."""
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
            marker="o" if len(times) < 3 or len(times) > FEW * len(one.times) else None,
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
    """Times and values with a NaN where points are missing, so that no line is drawn over what nobody measured."""
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
    """Where a panel begins and ends: at zero, unless all values are far from it; with room for the names above them."""
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known), max(known)
    if low >= 0 and (low < high / 2 or low == high):
        low = 0.0
    if high <= low:
        high = low + 1.0
    margin = (high - low) * 0.05
    return (low if low == 0 else low - margin), high + margin + (high - low) * ROOM_FOR_NAMES * rows_of_names


def _counts(series: Series) -> bool:
    """Whether the values are whole numbers, between which there is nothing."""
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
    for place, (name, value) in enumerate(values):
        middle = {"x": (place + 0.5) / len(values), "ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(y=0.62, s=shown(value, panel.unit, panel.decimals), fontsize=size, **middle)
        axes.text(y=0.2, s=name[:28], color=GREY, fontsize=SMALL + 1, **middle)


def _bars(axes: Any, answer: Answer) -> None:
    names = [str(row[0]) for row in answer.rows]
    groups = answer.columns[1:]
    for place, group in enumerate(groups):
        width = 0.8 / len(groups)
        middles = [index + (place - (len(groups) - 1) / 2) * width for index in range(len(names))]
        axes.bar(middles, [float(row[place + 1] or 0) for row in answer.rows], width, label=group)
    axes.set_xticks(range(len(names)), names)
    if len(names) > MOST_UPRIGHT:
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
    """A number in Grafana's unit as a person reads it."""
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
