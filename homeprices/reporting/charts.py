"""Charts of the reports, drawn by Matplotlib as inline SVG.

Text, axes and grid take the page's text colour (`currentColor`), so that one chart reads well on a light and on a dark
page. The same values give the same SVG. Figures are built without pyplot, because its state is shared by threads.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from hashlib import sha256
from html import escape
from math import ceil
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from homeprices.foreign_text import printable

mpl.rcParams["svg.hashsalt"] = "homeprices"  # the ids in a figure are hashes: without a salt they are random
mpl.rcParams["svg.fonttype"] = "none"  # text stays text: it can be searched, copied and read aloud

INK = "#010203"
"""Placeholder of the page's text colour; `to_svg` replaces it. In a PNG it is black."""
COLOURS = ("#0072b2", "#d55e00")
"""Blue and vermilion of Okabe and Ito: distinct for colour-blind readers, and 3.5:1 or more on white and on black."""
MARKERS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "markersize": 4},
    {"marker": "s", "markersize": 6, "markerfacecolor": "none"},
)
STROKES: tuple[Any, ...] = ("-", (0, (4, 1.5)))
"""Line styles of the first and the second line, so that both are visible where they coincide."""
LIMIT_STROKES = ("--", ":")
ROUND_STEPS = [1, 2, 2.5, 5, 10]

WIDTH, HEIGHT = 7.0, 2.8  # inches
FONT_SIZE = 9.0
MOST_MARKED = 60
"""A line of more points than these has no markers."""
SETTLED_SHARE = 0.2
LONGEST_LABEL = 26
SHOWN_TICKS = 6
TIME_UNITS = ((1 / 60, "min", "min", 1.5), (1.0, "h", "h", 48.0), (24.0, "day", "days", float("inf")))
"""Hours of the unit, its singular and plural, and the longest axis in hours that uses it."""


@dataclass(frozen=True)
class Line:
    """Points (x, y) under a name; `band` is the interval (low, high) at each x."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class TimeChart:
    """Lines over the hours since the start; `limits` are named horizontal lines. `unit` follows each value.

    `settled`: the value axis fits the values after the first fifth of the time. Values of few visitors vary so much
    that later differences would be invisible; such a line leaves the chart at its top or bottom.
    """

    title: str
    unit: str
    lines: Sequence[Line]
    limits: Sequence[tuple[str, float]] = ()
    settled: bool = False

    def figure(self) -> Figure:
        """The figure, for at least one point."""
        figure, axes = new_figure()
        last = max(x for line in self.lines for x, _ in line.points)
        hours, one, many = next((h, one, many) for h, one, many, most in TIME_UNITS if last <= most)
        for number, line in enumerate(self.lines):
            if line.points:
                _draw_line(axes, line, hours, number)
        for stroke, (value, names) in zip(LIMIT_STROKES, _by_value(self.limits), strict=False):
            label = f"{' / '.join(names)} {value:g} {self.unit}".strip()
            axes.axhline(value, color=INK, linewidth=1, linestyle=stroke, label=label)
        if counts := self.unit == "requests":
            axes.set_ylim(bottom=0)
        elif self.settled:
            axes.set_ylim(*self._settled_range(SETTLED_SHARE * last))
        axes.set_xlim(0, (last / hours or 1.0) * 1.03)
        axes.xaxis.set_major_locator(MaxNLocator(SHOWN_TICKS, integer=True, steps=[1, 2, 3, 5, 6, 10]))
        axes.xaxis.set_major_formatter(partial(_amount, one=one, many=many))
        axes.yaxis.set_major_locator(MaxNLocator(SHOWN_TICKS, integer=counts, steps=ROUND_STEPS))
        axes.yaxis.set_major_formatter(partial(_amount, one=_singular(self.unit), many=self.unit))
        _legend(figure, axes)
        return figure

    def _settled_range(self, since: float) -> tuple[float, float]:
        """The limits of the value axis: all values and bands from that hour on, and the limits, with a margin."""
        values = [limit for _, limit in self.limits]
        for line in self.lines:
            values += [y for x, y in line.points if x >= since]
            bands = zip(line.points, line.band, strict=True) if line.band else ()
            values += [end for (x, _), ends in bands if x >= since for end in ends]
        margin = 0.05 * (max(values) - min(values)) or 0.05 * abs(values[0]) or 1.0
        return min(values) - margin, max(values) + margin

    def html(self) -> str:
        """The chart as an HTML figure; a sentence if there is no point."""
        if not any(line.points for line in self.lines):
            return f"<p>{escape(self.title)}: nothing was measured yet.</p>"
        return in_page(self.figure(), self.title)


def share_bars(groups: Sequence[tuple[str, float, float]]) -> Figure:
    """The reference's share and the current share of each (label, reference, current), as bars next to each other."""
    figure, axes = new_figure(height=0.9 + 0.38 * len(groups))
    largest = max((max(p, q) for _, p, q in groups), default=0) or 1.0
    rows = range(len(groups))
    for number, (name, style) in enumerate({"reference": (INK, 0.4), "current": (COLOURS[0], 1.0)}.items()):
        shares = [100 * group[1 + number] for group in groups]
        axes.barh([row + 0.36 * (number - 0.5) for row in rows], shares, 0.36, color=style, linewidth=0, label=name)
    for row, (_, before, after) in enumerate(groups):
        at = (100 * max(before, after), row)
        text = f"{100 * before:.3g} → {100 * after:.3g} %"
        axes.annotate(text, at, (5, 0), textcoords="offset points", va="center", color=INK, fontsize=FONT_SIZE)
    axes.set_yticks(rows, [short_label(printable(label)) for label, _, _ in groups])
    axes.set_xlim(0, 130 * largest)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(SHOWN_TICKS))
    axes.xaxis.set_major_formatter(partial(_amount, one="%", many="%"))
    axes.grid(visible=False, axis="y")
    _legend(figure, axes)
    return figure


def daily_values(points: Sequence[tuple[str, float, bool]], name: str) -> Figure:
    """Values by ISO date, oldest first; those for which the flag is set are marked as drift."""
    figure, axes = new_figure(height=1.9)
    days = [date.fromisoformat(day[:10]).toordinal() for day, _, _ in points]
    values = [value for _, value, _ in points]
    markers = MARKERS[0] if len(points) <= MOST_MARKED else {}
    axes.plot(days, values, color=COLOURS[0], linewidth=1.4, label=name, **markers)
    if drifted := [(day, value) for day, (_, value, drift) in zip(days, points, strict=True) if drift]:
        axes.plot(*zip(*drifted, strict=True), color=COLOURS[1], marker="D", linestyle="", markersize=5, label="drift")
    axes.set_xlim(days[0] - 0.5, days[-1] + 0.5)
    axes.set_ylim(min(0.0, *values), 1.15 * max(values) or 1.0)
    axes.set_xticks(range(days[-1], days[0] - 1, -ceil((days[-1] - days[0] + 1) / SHOWN_TICKS)))
    axes.xaxis.set_major_formatter(lambda day, _: f"{date.fromordinal(round(day)):%-d %b %Y}")
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=ROUND_STEPS))
    axes.yaxis.set_major_formatter(partial(_amount, one="", many=""))
    _legend(figure, axes)
    return figure


def new_figure(width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure of so many inches and its axes, in the style of the reports."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=INK, alpha=0.5)
    axes.tick_params(which="both", color=INK, labelcolor=INK, labelsize=FONT_SIZE)
    axes.grid(color=INK, alpha=0.12, linewidth=0.8)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=FONT_SIZE)
    return figure, axes


def log_scale(axis: Axis) -> None:
    """Give an axis a logarithmic scale with plain numbers: 10, 20, 50, 100."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # type: ignore[attr-defined]
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(partial(_amount, one="", many=""))
    axis.set_minor_locator(NullLocator())


def in_page(figure: Figure, title: str) -> str:
    """The figure as an HTML `figure` element with its title as caption."""
    return f"<figure><figcaption>{escape(title)}</figcaption>{to_svg(figure, title)}</figure>"


def to_svg(figure: Figure, title: str) -> str:
    """The figure as an `svg` element: transparent, in the page's text colour, as wide as the page."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    _, _, body = buffer.getvalue().partition("<svg ")
    body = re.sub(r"^[^>]*?(viewBox=\"[^\"]*\")[^>]*>", r"\1>", body, count=1)
    # Matplotlib's style sheet has the selector `*`, which would apply to the whole page.
    body = re.sub(r"<style.*?</style>", "", body, count=1, flags=re.DOTALL).replace("xlink:href", "href")
    # A page holds several figures, so their ids need a prefix each.
    prefix = f"c{sha256(title.encode()).hexdigest()[:8]}-"
    body = re.sub(r"( id=\"|url\(#| href=\"#)", rf"\1{prefix}", body).replace(INK, "currentColor").strip()
    return f'<svg role="img" stroke-linejoin="round" aria-label="{escape(title)}" {body}'


def _draw_line(axes: Axes, line: Line, hours: float, number: int) -> None:
    colour = COLOURS[number % len(COLOURS)]
    xs, ys = [x / hours for x, _ in line.points], [y for _, y in line.points]
    if line.band and len(xs) == 1:  # an area between two single points has no width
        [(low, high)] = line.band
        axes.errorbar(xs, ys, [[ys[0] - low], [high - ys[0]]], ecolor=colour, elinewidth=1.4, capsize=5, fmt="none")
    elif line.band:
        lows, highs = zip(*line.band, strict=True)
        axes.fill_between(xs, lows, highs, color=colour, alpha=0.18, linewidth=0)
    markers = MARKERS[number % len(MARKERS)] if len(xs) <= MOST_MARKED else {}
    stroke = STROKES[number % len(STROKES)]
    axes.plot(xs, ys, color=colour, linestyle=stroke, linewidth=1.6, label=line.name, **markers)


def _legend(figure: Figure, axes: Axes) -> None:
    """Place the legend above the axes, where it covers no line."""
    handles, names = axes.get_legend_handles_labels()
    columns = 2 if sum(map(len, names)) > 60 else max(1, len(names))
    figure.legend(
        handles, names, loc="outside upper left", ncols=columns, frameon=False, fontsize=FONT_SIZE, labelcolor=INK
    )


def _by_value(limits: Sequence[tuple[str, float]]) -> list[tuple[float, list[str]]]:
    """Limits of one value share a line, so that neither hides the other."""
    found: dict[float, list[str]] = {}
    for name, value in limits:
        found.setdefault(value, []).append(name)
    return list(found.items())


def _amount(value: float, _position: int | None, *, one: str, many: str) -> str:
    """A tick's label: "0", "1 day", "3 days", "12,000 requests"."""
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return number if round(value, 12) == 0 else f"{number} {one if number == '1' else many}".strip()


def _singular(unit: str) -> str:
    return unit.removesuffix("s") if unit in ("requests", "stars") else unit


def short_label(label: str) -> str:
    """The label, cut to LONGEST_LABEL characters, with `$` escaped, which would start a formula in Matplotlib."""
    label = label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
    return label.replace("$", r"\$")
