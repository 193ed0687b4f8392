"""Bins for the chart of one feature: (label, reference share, current share)."""

from __future__ import annotations

import numpy as np

from homeprices.drift.findings import ShiftedCategory
from homeprices.drift.samples import Floats, NumberSample
from homeprices.drift.two_sample_statistics import CategoryHistogram, binned
from homeprices.pricing.manifest import NumberReference

GROUPS = 10
SINGLE_VALUES = 12
"""A number with at most so many distinct values (bedrooms, baths) has one bin for each value."""

WORDS = 12
REST = "all others"

Bars = tuple[tuple[str, float, float], ...]


def numeric_bins(reference: NumberReference | NumberSample, current: NumberSample) -> Bars:
    """Return one bin for each bin of the reference, each decile, or each value."""
    edges = _edges(reference)
    if isinstance(reference, NumberReference):
        before = np.array(reference.counts, dtype=np.float64)
    else:
        before = _histogram(reference, edges)
    after = _histogram(current, edges)
    return tuple(
        (_label(edges, i), float(p), float(q))
        for i, (p, q) in enumerate(zip(before / before.sum(), after / after.sum(), strict=True))
    )


def category_bins(cells: CategoryHistogram, moved: tuple[ShiftedCategory, ...]) -> Bars:
    """Return bins for the shifted categories, then the most frequent ones, and one for all others."""
    before, after = cells.reference / cells.reference.sum(), cells.current / cells.current.sum()
    first = [cells.names.index(word.name) for word in moved if word.name in cells.names]
    shown = [*first, *(i for i in range(len(cells.names)) if i not in first)][:WORDS]
    bars = [(cells.names[i], float(before[i]), float(after[i])) for i in shown]
    if len(cells.names) > len(shown):
        bars.append((REST, float(1 - before[shown].sum()), float(1 - after[shown].sum())))
    return tuple(bars)


def _edges(reference: NumberReference | NumberSample) -> Floats:
    if isinstance(reference, NumberReference):
        return np.array(reference.edges)
    if len(reference.values) <= SINGLE_VALUES:
        return np.append(reference.values, reference.values[-1] + 1)
    before = np.cumsum(reference.counts) / reference.present
    inner = reference.values[np.searchsorted(before, np.linspace(0, 1, GROUPS + 1)[1:-1])]
    return np.unique(np.concatenate([reference.values[:1], inner, reference.values[-1:]]))


def _histogram(sample: NumberSample, edges: Floats) -> Floats:
    """Return counts by bin; values outside count in the outer bins."""
    places = np.clip(np.searchsorted(edges, sample.values, side="right") - 1, 0, len(edges) - 2)
    return binned(places, sample.counts, len(edges) - 1)


def _label(edges: Floats, i: int) -> str:
    low, high, last = edges[i], edges[i + 1], i == len(edges) - 2
    if i == 0 and not last:
        return f"under {high:,.4g}" if high - low != 1 else f"{low:,.0f}"
    if last:
        return f"{low:,.4g} and more"
    return f"{low:,.0f}" if high - low == 1 else f"{low:,.4g} to {high:,.4g}"
