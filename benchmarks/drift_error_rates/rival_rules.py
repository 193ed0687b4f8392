"""Common drift rules, from their definitions, applied to the same samples as ours.

Evidently 0.7.23 with its defaults for a reference of more than 1,000 rows: a number of more than five values drifts at
a Wasserstein distance of 0.1 standard deviations, anything else at a Jensen-Shannon distance (natural logarithm) of
0.1. Source: its `calculations/stattests/registry.py`; `make check-evidently` compares with the real program.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.drift_error_rates.population import NUMBERS, Homes
from homeprices.drift.samples import Floats
from homeprices.drift.two_sample_statistics import jensen_shannon

WORDS = ("location", "area_type", "availability")
"""Societies are left out: with 2,000 names they would only be one more alarm."""

EVIDENTLY_THRESHOLD = 0.1
FEW_VALUES = 5
MEAN_THRESHOLD = 0.2


def evidently(reference: Homes, current: Homes) -> set[str]:
    """Return the columns that are drifted by Evidently's defaults."""
    distances = {name: _of_number(reference.numbers[name], current.numbers[name]) for name in NUMBERS}
    distances |= {name: _of_counts(reference.counts(name), current.counts(name)) for name in WORDS}
    return {name for name, distance in distances.items() if distance >= EVIDENTLY_THRESHOLD}


def means(reference: Homes, current: Homes) -> set[str]:
    """Return the numeric columns whose mean changed by more than a fifth."""
    before = {name: float(np.nanmean(values)) for name, values in reference.numbers.items()}
    return {
        name for name, values in current.numbers.items() if abs(np.nanmean(values) / before[name] - 1) > MEAN_THRESHOLD
    }


def _of_number(reference: Floats, current: Floats) -> float:
    before, after = reference[~np.isnan(reference)], current[~np.isnan(current)]
    values, places = np.unique(np.concatenate([before, after]), return_inverse=True)
    if len(values) > FEW_VALUES:
        return float(stats.wasserstein_distance(before, after)) / max(float(np.std(before)), 0.001)
    split = len(before)
    return _of_counts(_counted(places[:split], len(values)), _counted(places[split:], len(values)))


def _counted(places: npt.NDArray[np.int64], size: int) -> Floats:
    return np.bincount(places, minlength=size).astype(np.float64)


def _of_counts(reference: Floats, current: Floats) -> float:
    return jensen_shannon(reference, current) * float(np.sqrt(np.log(2)))  # from base 2 to the natural logarithm
