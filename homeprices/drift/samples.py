"""Counted samples of features: the common form of files, logged exposures and a bundle's reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from homeprices.pricing.features import (
    MISSING,
    OTHER_LOCATION,
    key_of,
    tidy,
)
from homeprices.pricing.inputs import INPUT, NUMBERS, OPTIONAL, TEXTS
from homeprices.pricing.manifest import NumberReference, Reference, TextReference

Floats = npt.NDArray[np.float64]

PREDICTION = "estimated_price"
PRICE = "price"
"""The asking price of a listing, in lakh rupees; only files of listings have it."""

NUMBER_FEATURES = (*NUMBERS, PREDICTION, PRICE)
TEXT_FEATURES = TEXTS


@dataclass(frozen=True, eq=False)
class NumberSample:
    """The distinct values of a number in rising order, the count of each, and the number of rows without one."""

    values: Floats
    counts: Floats
    missing: int = 0

    @property
    def present(self) -> int:
        """Rows that have a value."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float | None:
        """The mean of the values; None without one."""
        return float(np.average(self.values, weights=self.counts)) if self.present else None

    @property
    def percentiles(self) -> Floats:
        """The values at 1, 2, ..., 99 % (inverted distribution function). There must be a value."""
        wanted = np.ceil(np.arange(1, 100) / 100 * self.counts.sum() - 1e-9)
        percentiles: Floats = self.values[np.searchsorted(np.cumsum(self.counts), wanted)]
        return percentiles


@dataclass(frozen=True)
class TextSample:
    """The count of each category, and the number of rows without one."""

    counts: Mapping[str, int]
    missing: int = 0

    @property
    def present(self) -> int:
        """Rows that have a category."""
        return sum(self.counts.values())


@dataclass(frozen=True, eq=False)
class Sample:
    """Features by name, of `rows` homes."""

    rows: int
    features: Mapping[str, NumberSample | TextSample] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Baseline:
    """Baseline of a comparison: a bundle's binned reference, or another sample.

    `blank_is_choice` names the features that people may leave blank. A change of their missing values is reported, but
    is no drift, because few visitors of the form fill in optional fields. A file of listings should be complete.
    """

    rows: int
    features: Mapping[str, NumberReference | TextReference | NumberSample | TextSample]
    blank_is_choice: frozenset[str] = frozenset()


def baseline_of_bundle(reference: Reference) -> Baseline:
    """The baseline in a bundle: its training rows, and its estimates for them (lakh rupees)."""
    features = {**reference.features, PREDICTION: reference.prediction}
    return Baseline(reference.rows, features, frozenset(OPTIONAL))


def baseline_of_sample(sample: Sample) -> Baseline:
    """A sample as the baseline for another one."""
    return Baseline(sample.rows, sample.features)


def number_sample(values: npt.ArrayLike) -> NumberSample:
    """Count numbers; values that are not finite count as missing."""
    array = np.asarray(values, dtype=np.float64)
    present = array[np.isfinite(array)]
    distinct, counts = np.unique(present, return_counts=True)
    return NumberSample(distinct, counts.astype(np.float64), missing=len(array) - len(present))


def text_sample(words: Iterable[str]) -> TextSample:
    """Count categories; an empty one is missing."""
    counted = Counter(words)
    missing = counted.pop(MISSING, 0)
    return TextSample(dict(counted), missing)


def sample_of_columns(columns: Mapping[str, Sequence[Any] | Floats], rows: int) -> Sample:
    """Return the sample of `rows` homes from columns: numbers as floats (missing: NaN), categories as entered.

    Words are brought to the model's own vocabulary (`Super built-up  Area`, `ready`); a column of another name is left
    out.
    """
    features: dict[str, NumberSample | TextSample] = {}
    for name, values in columns.items():
        if name in NUMBER_FEATURES:
            features[name] = number_sample(values)
        elif name in TEXT_FEATURES:
            features[name] = _words(name, values)
    return Sample(rows, features)


def sample_of_visits(visits: Sequence[Mapping[str, Any]]) -> Sample:
    """The sample of logged visits: each the inputs of a home, with its `estimate` in lakh rupees."""
    columns: dict[str, list[Any]] = {
        name: [_number(visit.get(name)) if name in NUMBERS else visit.get(name) or MISSING for visit in visits]
        for name in (*NUMBERS, *TEXTS)
    }
    columns[PREDICTION] = [_number(visit.get("estimate")) for visit in visits]
    return sample_of_columns(columns, len(visits))


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _words(name: str, values: Iterable[Any]) -> TextSample:
    """The canonical categories.

    Each distinct spelling is converted once, because a million rows have a few thousand.
    """
    feature = INPUT[name].feature
    if feature is None:
        return _locations(Counter(values))
    counted: Counter[str] = Counter()
    for spelling, count in Counter(values).items():
        counted[feature(spelling)] += count
    missing = counted.pop(MISSING, 0)
    return TextSample(dict(counted), missing)


def _locations(spellings: Counter[str]) -> TextSample:
    """Locations by their most frequent spelling; capitals and spaces do not distinguish locations."""
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for spelling, count in sorted(spellings.items(), key=lambda item: (-item[1], item[0])):
        key = key_of(spelling)
        names.setdefault(key, tidy(spelling))
        counts[key] += count
    missing = counts.pop(MISSING, 0)
    return TextSample({names[key]: count for key, count in counts.items()}, missing)


def matched_locations(baseline: TextReference | TextSample, current: TextSample) -> tuple[TextSample, dict[str, int]]:
    """Return the current locations under the baseline's names, and the counts of those it does not have.

    A baseline that has `other` merges all locations that its model has not learned, so unknown locations count there
    too.
    """
    known = {key_of(name): name for name in baseline.counts}
    lump = OTHER_LOCATION in baseline.counts
    counts: Counter[str] = Counter()
    unknown: dict[str, int] = {}
    for place, count in current.counts.items():
        name = known.get(key_of(place))
        if name is None:
            unknown[place] = count
        counts[name or (OTHER_LOCATION if lump else place)] += count
    return TextSample(dict(counts), current.missing), unknown
