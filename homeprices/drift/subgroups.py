"""Drift between the two arms, and within segments of the visitors: where it is, once it is there.

These comparisons are beside the report proper, and do not raise its alarm: the rate of that is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from homeprices.drift.comparison import Comparison, compare
from homeprices.drift.finding import Rules
from homeprices.drift.sample import baseline_of_sample, sample_of_visits
from homeprices.pricing.features import Locations

Visit = Mapping[str, Any]

SMALL_BEDROOMS = 2


def between_arms(production: Sequence[Visit], candidate: Sequence[Visit]) -> dict[str, Any]:
    """What visitors of the two arms ask for, candidate against production: without a fault of the split, the same.

    Estimates are left out: two models give two.
    """
    return _short(
        compare(baseline_of_sample(sample_of_visits(_inputs(production))), sample_of_visits(_inputs(candidate)))
    )


def by_segment(before: Sequence[Visit], now: Sequence[Visit], locations: Locations) -> dict[str, dict[str, Any]]:
    """Each segment of now's visitors against the same segment before; one rate of false alarms for all of them."""
    segments = segments_of(locations)
    rules = Rules(alpha=Rules().alpha / len(segments))
    found = {}
    for name, belongs in segments.items():
        earlier, later = [visit for visit in before if belongs(visit)], [visit for visit in now if belongs(visit)]
        baseline = baseline_of_sample(sample_of_visits(earlier))
        found[name] = _short(compare(baseline, sample_of_visits(later), rules))
    return found


def segments_of(locations: Locations) -> dict[str, Callable[[Visit], bool]]:
    """Who belongs to which segment; a visitor is in two: by the home's size, and by whether its place is known."""
    return {
        f"homes of up to {SMALL_BEDROOMS} bedrooms": lambda visit: visit.get("bhk", 0) <= SMALL_BEDROOMS,
        f"homes of more than {SMALL_BEDROOMS} bedrooms": lambda visit: visit.get("bhk", 0) > SMALL_BEDROOMS,
        "places that the model knows": lambda visit: str(visit.get("location", "")) in locations,
        "other places": lambda visit: str(visit.get("location", "")) not in locations,
    }


def _inputs(visits: Sequence[Visit]) -> list[Visit]:
    return [{name: value for name, value in visit.items() if name != "estimate"} for visit in visits]


def _short(found: Comparison) -> dict[str, Any]:
    """Without the pictures."""
    summary = found.summary()
    return {name: summary[name] for name in ("status", "data_points", "overall_drift_detected", "drifted", "sentence")}
