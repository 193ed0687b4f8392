"""The report for people: one page with its pictures inside, reference against current, and over time where known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from homeprices.drift import pictures
from homeprices.drift.findings import NAMES

History = Mapping[str, Sequence[tuple[str, float, bool]]]
"""By feature: (date, stability index beyond chance, whether there was drift), oldest first."""

_PAGE = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h2 { margin: 2.5rem 0 .3rem } h2.drift { color: #b00020 } svg { max-width: 100%; font: 12px sans-serif }
.small { font-size: 11px; fill: #555 } .facts { color: #555; font-size: .9rem }
.key { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem }
</style></head><body>
<h1>{{ title }}</h1>
<p>{{ facts }}</p>
<p><strong>{{ summary.sentence }}</strong></p>
<p class="facts">{{ "{:,}".format(summary.data_points) }} homes beside {{ "{:,}".format(summary.reference_points) }} of
the reference. Without any drift, at most {{ "%g" | format(100 * summary.alpha) }} % of such reports find some.
<span class="key" style="background:{{ reference }}"></span>reference
<span class="key" style="background:{{ current }}"></span>current</p>
{% for note in notes %}<p>{{ note }}</p>
{% endfor %}
{% for part in parts %}<h2{% if part.found.significant_drift %} class="drift"{% endif %}>{{ part.name }}</h2>
<p>{{ part.found.sentence }}</p>
{{ part.bars }}
<p class="facts">{% if part.found.tests %}{{ part.tests }}. {% endif %}{{ part.effect }}</p>
{{ part.time }}
{% endfor %}</body></html>
"""
)


def render(
    summary: Mapping[str, Any], title: str, facts: str, history: History | None = None, notes: Sequence[str] = ()
) -> str:
    """The page of a summary (`Comparison.summary()`); drifted features first. `facts` says what was compared."""
    indicators = summary["drift_indicators"].items()
    ordered = sorted(indicators, key=lambda item: (not item[1]["significant_drift"], item[1]["p_value"]))
    return _PAGE.render(
        title=title,
        facts=facts,
        notes=notes,
        summary=summary,
        parts=[_part(name, found, (history or {}).get(name, ())) for name, found in ordered],
        reference=pictures.REFERENCE_COLOUR,
        current=pictures.CURRENT_COLOUR,
    )


def _part(name: str, found: Mapping[str, Any], history: Sequence[tuple[str, float, bool]]) -> dict[str, Any]:
    name = NAMES.get(name, name)
    drawn = pictures.bars(found["bars"], f"{name}: reference and current") if found["bars"] else ""
    timed = pictures.over_time(history, f"{name}: stability index by day") if len(history) > 1 else ""
    return {
        "name": name[0].upper() + name[1:],
        "found": found,
        "bars": Markup(drawn),  # noqa: S704  made here, of escaped text
        "time": Markup(timed),  # noqa: S704
        "tests": "; ".join(f"{test}: p = {p:.2g}" for test, p in found["tests"].items()),
        "effect": "; ".join(
            f"{measure.replace('_', ' ')} {value:.3g}"
            for measure, value in found["effect"].items()
            if value is not None
        ),
    }
