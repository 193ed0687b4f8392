"""Line charts as SVG text: a page that holds them is one file that opens anywhere, without a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 14, 34  # margins
TICKS = 4
COLOURS = ("#1f5fa8", "#c2571a", "#3a7d44", "#7a4fa3")


@dataclass(frozen=True)
class Line:
    """Points (x, y) under a name; `band` is the area between two more values of y at each x."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Chart:
    """Lines over hours since the beginning; `limits` are horizontal lines with a name."""

    title: str
    unit: str
    lines: Sequence[Line]
    limits: Sequence[tuple[str, float]] = ()

    def svg(self) -> str:
        """The chart as an SVG element; a sentence where there is nothing to draw."""
        xs = [x for line in self.lines for x, _ in line.points]
        if not xs:
            return f"<p>{escape(self.title)}: nothing was measured yet.</p>"
        ys = [y for line in self.lines for _, y in line.points]
        ys += [y for line in self.lines for pair in line.band for y in pair] + [value for _, value in self.limits]
        scale = _Scale(min(xs), max(xs), *_padded(min(ys), max(ys)))
        parts = [scale.axes(self.unit)]
        for name, value in self.limits:
            parts.append(scale.limit(name, value))
        for number, line in enumerate(self.lines):
            parts.append(scale.line(line, COLOURS[number % len(COLOURS)]))
        legend = "".join(
            f'<tspan fill="{COLOURS[number % len(COLOURS)]}" dx="12">{escape(line.name)}</tspan>'
            for number, line in enumerate(self.lines)
        )
        return (
            f"<figure><figcaption>{escape(self.title)}</figcaption>"
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title, quote=True)}">'
            f'{"".join(parts)}<text x="{LEFT}" y="{HEIGHT - 4}">{legend}</text></svg></figure>'
        )


@dataclass(frozen=True)
class _Scale:
    low_x: float
    high_x: float
    low_y: float
    high_y: float

    def x(self, value: float) -> float:
        span = self.high_x - self.low_x or 1.0
        return round(LEFT + (value - self.low_x) / span * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        span = self.high_y - self.low_y
        return round(TOP + (self.high_y - value) / span * (HEIGHT - TOP - BOTTOM), 1)

    def axes(self, unit: str) -> str:
        marks = []
        for step in range(TICKS + 1):
            value = self.low_y + (self.high_y - self.low_y) * step / TICKS
            hour = self.low_x + (self.high_x - self.low_x) * step / TICKS
            marks.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.y(value)}" y2="{self.y(value)}"/>'
            )
            marks.append(
                f'<text class="tick" x="{LEFT - 6}" y="{self.y(value) + 4}" text-anchor="end">{value:.3g}</text>'
            )
            marks.append(
                f'<text class="tick" x="{self.x(hour)}" y="{HEIGHT - 20}" text-anchor="middle">{hour / 24:.2g} d</text>'
            )
        marks.append(f'<text class="tick" x="4" y="10">{escape(unit)}</text>')
        return "".join(marks)

    def limit(self, name: str, value: float) -> str:
        y = self.y(value)
        return (
            f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
            f'<text class="tick" x="{WIDTH - RIGHT}" y="{y - 3}" text-anchor="end">{escape(name)}</text>'
        )

    def line(self, line: Line, colour: str) -> str:
        points = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in line.points)
        drawn = f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{points}"/>'
        drawn += "".join(f'<circle cx="{self.x(x)}" cy="{self.y(y)}" r="1.8" fill="{colour}"/>' for x, y in line.points)
        if line.band:
            above = [(x, high) for (x, _), (_, high) in zip(line.points, line.band, strict=True)]
            below = [(x, low) for (x, _), (low, _) in zip(line.points, line.band, strict=True)]
            area = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in [*above, *below[::-1]])
            drawn = f'<polygon fill="{colour}" fill-opacity="0.15" points="{area}"/>{drawn}'
        return drawn


def _padded(low: float, high: float) -> tuple[float, float]:
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - room, high + room
