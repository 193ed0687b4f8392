"""Pictures of a report as SVG text: no program to draw them, no file beside the page, and they print."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, BAR, GAP, LABEL = 620, 9, 8, 170  # pixels
CHART = WIDTH - LABEL - 70

REFERENCE_COLOUR, CURRENT_COLOUR, DRIFT_COLOUR = "#7a8794", "#1f6f8b", "#b00020"

LINE_HEIGHT = 90


def bars(groups: Sequence[tuple[str, float, float]], title: str) -> str:
    """The reference's share and the current share of each group, beside each other."""
    largest = max((max(p, q) for _, p, q in groups), default=0) or 1.0
    row = 2 * BAR + GAP
    body = "".join(
        f'<text x="{LABEL - 8}" y="{i * row + 14}" text-anchor="end">{escape(_short(label))}</text>'
        f"{_bar(p / largest, i * row, REFERENCE_COLOUR)}{_bar(q / largest, i * row + BAR, CURRENT_COLOUR)}"
        f'<text x="{LABEL + max(p, q) / largest * CHART + 6:.0f}" y="{i * row + 14}" class="small">'
        f"{p * 100:.3g} → {q * 100:.3g} %</text>"
        for i, (label, p, q) in enumerate(groups)
    )
    return _svg(row * len(groups) + 4, title, body)


def over_time(points: Sequence[tuple[str, float, bool]], title: str) -> str:
    """A value by date; the dates on which there was drift are marked. One point is a point, none is nothing."""
    if not points:
        return ""
    highest = max(value for _, value, _ in points) or 1.0
    step = (WIDTH - 90) / max(1, len(points) - 1)
    places = [
        (40 + i * step, LINE_HEIGHT - 24 - value / highest * (LINE_HEIGHT - 40))
        for i, (_, value, _) in enumerate(points)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{4 if drift else 2.5}" '
        f'fill="{DRIFT_COLOUR if drift else CURRENT_COLOUR}"><title>{escape(date)}: {value:.3g}</title></circle>'
        for (x, y), (date, value, drift) in zip(places, points, strict=True)
    )
    ends = (
        f'<text x="40" y="{LINE_HEIGHT - 4}" class="small">{escape(points[0][0])}</text>'
        f'<text x="{WIDTH - 50}" y="{LINE_HEIGHT - 4}" text-anchor="end" class="small">{escape(points[-1][0])}</text>'
        f'<text x="34" y="20" text-anchor="end" class="small">{highest:.2g}</text>'
    )
    drawn = f'<polyline points="{line}" fill="none" stroke="{CURRENT_COLOUR}"/>' if len(points) > 1 else ""
    return _svg(LINE_HEIGHT, title, drawn + dots + ends)


def _bar(share: float, y: float, colour: str) -> str:
    return f'<rect x="{LABEL}" y="{y:.0f}" width="{share * CHART:.1f}" height="{BAR}" fill="{colour}"/>'


def _svg(height: float, title: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def _short(label: str) -> str:
    return label if len(label) <= 26 else label[:25] + "…"
