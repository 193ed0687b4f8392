"""Two samples on one scale: how often each of the two has a value, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from homeprices.drift.sample import Floats, NumberSample, TextSample
from homeprices.pricing.reference import NumberReference, TextReference

LEAST_EXPECTED = 5.0
"""Cochran's rule: the G-test's chi-square needs about so many in every cell."""

GROUPS = 10
"""Groups of numbers for the population stability index, as in its usual definition: the reference's deciles."""


@dataclass(frozen=True, eq=False)
class NumberCells:
    """Counts of two samples over the same cells, in rising order of value."""

    reference: Floats
    current: Floats


@dataclass(frozen=True, eq=False)
class TextCells:
    """Counts of two samples by word, in falling order of both together."""

    names: tuple[str, ...]
    reference: Floats
    current: Floats


def number_cells(reference: NumberReference | NumberSample, current: NumberSample) -> NumberCells:
    """A cell a distinct value, or, where the reference is binned, a cell a bin. Both must have a value."""
    if isinstance(reference, NumberReference):
        return _binned(reference, current)
    values = np.union1d(reference.values, current.values)
    return NumberCells(_counts_at(values, reference), _counts_at(values, current))


def text_cells(reference: TextReference | TextSample, current: TextSample) -> TextCells:
    """A cell a word that either of the two has."""
    both = {name: reference.counts.get(name, 0) + current.counts.get(name, 0) for name in reference.counts}
    both |= {name: count for name, count in current.counts.items() if name not in both}
    names = tuple(sorted(both, key=lambda name: (-both[name], name)))
    return TextCells(
        names,
        np.array([reference.counts.get(name, 0) for name in names], dtype=np.float64),
        np.array([current.counts.get(name, 0) for name in names], dtype=np.float64),
    )


def without_rare(reference: Floats, current: Floats) -> tuple[Floats, Floats]:
    """The cells with at least five expected of each sample; the others make one cell together.

    Who is rare depends on both samples together. Chosen by the reference alone, the rare would be those that chance
    made rare there, and the other sample would differ from it without any drift.
    """
    both = reference + current
    kept = both * min(reference.sum(), current.sum()) / both.sum() >= LEAST_EXPECTED
    if kept.all():
        return reference, current
    return (
        np.append(reference[kept], reference[~kept].sum()),
        np.append(current[kept], current[~kept].sum()),
    )


def grouped(cells: NumberCells) -> tuple[Floats, Floats]:
    """(reference, current) counts in at most ten groups that hold about as much of the reference each."""
    before = np.cumsum(cells.reference) - cells.reference
    group = np.minimum((before * GROUPS / cells.reference.sum()).astype(int), GROUPS - 1)
    reference, current = binned(group, cells.reference, GROUPS), binned(group, cells.current, GROUPS)
    held = reference + current > 0
    return reference[held], current[held]


def binned(places: npt.NDArray[np.int64], counts: Floats, bins: int) -> Floats:
    """The sum of the counts in each of `bins` places."""
    return np.bincount(places, counts, minlength=bins).astype(np.float64)


def _counts_at(values: Floats, sample: NumberSample) -> Floats:
    counts = np.zeros(len(values))
    counts[np.searchsorted(values, sample.values)] = sample.counts
    return counts


def _binned(reference: NumberReference, current: NumberSample) -> NumberCells:
    """Values beyond the outer edges count in the outer bins.

    The edges are values of float32 inputs: a value that was not rounded the same way would fall beside its own edge.
    """
    bins = len(reference.counts)
    values = current.values.astype(np.float32).astype(np.float64)
    places = np.clip(np.searchsorted(np.array(reference.edges), values, side="right") - 1, 0, bins - 1)
    return NumberCells(np.array(reference.counts, dtype=np.float64), binned(places, current.counts, bins))
