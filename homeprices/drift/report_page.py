"""Drift report: one HTML page with a chart of each feature, reference against current, and its stability by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from homeprices.drift.findings import NAMES
from homeprices.reporting import html
from homeprices.reporting.charts import daily_values, in_page, share_bars
from homeprices.words import ITEMS

History = Mapping[str, Sequence[tuple[str, float, bool]]]
"""By feature: (ISO date, stability index beyond chance, whether there was drift), oldest first."""


def render(
    summary: Mapping[str, Any], title: str, facts: str, history: History | None = None, notes: Sequence[str] = ()
) -> str:
    """Return the report of a summary (`Comparison.summary()`), drifted features first.

    `facts` says what was compared; `notes` are more paragraphs.
    """
    indicators = summary["drift_indicators"].items()
    ordered = sorted(indicators, key=lambda item: (not item[1]["significant_drift"], item[1]["p_value"]))
    counts = (
        f"{summary['data_points']:,} {ITEMS} against {summary['reference_points']:,} of the reference. Without any "
        f"drift, at most {100 * summary['alpha']:g} % of such reports find some."
    )
    return html.page(
        title,
        _paragraph(facts),
        Markup('<p class="outcome">{}</p>').format(summary["sentence"]),
        _paragraph(counts, "facts"),
        *map(_paragraph, notes),
        *(_feature(name, indicator, (history or {}).get(name, ())) for name, indicator in ordered),
    )


def _feature(name: str, indicator: Mapping[str, Any], history: Sequence[tuple[str, float, bool]]) -> Markup:
    name = NAMES.get(name, name)
    name = name[0].upper() + name[1:]
    heading = Markup('<h2 class="bad">{}</h2>') if indicator["significant_drift"] else Markup("<h2>{}</h2>")
    tests = "".join(f"{test}: p = {p:.2g}. " for test, p in indicator["tests"].items())
    effects = [
        f"{measure.replace('_', ' ')} {value:.3g}"
        for measure, value in indicator["effect"].items()
        if value is not None
    ]
    parts = [heading.format(name), _paragraph(indicator["sentence"])]
    if indicator["bars"]:
        parts.append(_chart(in_page(share_bars(indicator["bars"]), f"{name}: share of {ITEMS}")))
    parts.append(_paragraph(tests + "; ".join(effects), "facts"))
    if history:
        parts.append(_chart(in_page(daily_values(history, "stability index"), f"{name}: stability index by day")))
    return Markup("\n").join(parts)


def _paragraph(text: str, kind: str = "") -> Markup:
    return Markup('<p class="{}">{}</p>').format(kind, text) if kind else Markup("<p>{}</p>").format(text)


def _chart(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704  its text is escaped where it is drawn
