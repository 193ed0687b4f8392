"""Listings as arrays, from which tens of thousands of samples are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from homeprices.drift.repetitions import repeated
from homeprices.drift.samples import Floats, NumberSample, Sample, TextSample, number_sample
from homeprices.pricing.features import area_type_feature, availability_feature, key_feature

Codes = npt.NDArray[np.int64]

NUMBERS = ("total_sqft", "bhk", "bath", "balcony", "price")
WORDS = ("location", "area_type", "availability", "society")
MISSING_CODE = -1


@dataclass(frozen=True, eq=False)
class Homes:
    """Homes by column: numbers (missing: NaN), and categories as indices of `names` (missing: -1)."""

    numbers: Mapping[str, Floats]
    words: Mapping[str, Codes]
    names: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.numbers[NUMBERS[0]])

    def drawn(self, rows: int, chance: np.random.Generator) -> Homes:
        """Return this many homes, drawn with replacement."""
        return self.taken(chance.integers(0, len(self), rows))

    def distinct(self) -> Homes:
        """The homes without exact repetitions, as `homeprices.drift.repetitions` drops them from listings."""
        words = {name: np.array([*self.names[name], ""], dtype=object)[codes] for name, codes in self.words.items()}
        return self.taken(np.flatnonzero(~repeated({**self.numbers, **words}, len(self))))

    def taken(self, chosen: npt.NDArray[np.intp]) -> Homes:
        """The homes of these rows, in this order."""
        return Homes(
            {name: values[chosen] for name, values in self.numbers.items()},
            {name: codes[chosen] for name, codes in self.words.items()},
            self.names,
        )

    def counts(self, word: str) -> Floats:
        """Return the count of each category, without missing values."""
        codes = self.words[word]
        return np.bincount(codes[codes >= 0], minlength=len(self.names[word])).astype(np.float64)

    def sample(self) -> Sample:
        """The homes as a sample."""
        features: dict[str, NumberSample | TextSample] = {k: number_sample(v) for k, v in self.numbers.items()}
        features |= {name: self._words(name) for name in self.words}
        return Sample(len(self), features)

    def _words(self, name: str) -> TextSample:
        counts = self.counts(name)
        held = {self.names[name][i]: int(counts[i]) for i in np.flatnonzero(counts)}
        return TextSample(held, missing=len(self) - int(counts.sum()))


def homes_of(rows: pd.DataFrame) -> Homes:
    """Return clean listings as arrays, with categories in the model's vocabulary."""
    words = {
        "location": rows["location"],
        "area_type": rows["area_type"].map(area_type_feature),
        "availability": rows["availability"].map(availability_feature),
        "society": rows["society"].map(key_feature),
    }
    coded = {name: pd.factorize(column.where(column != "", None)) for name, column in words.items()}
    return Homes(
        {name: rows[name].to_numpy(np.float64) for name in NUMBERS},
        {name: codes.astype(np.int64) for name, (codes, _) in coded.items()},
        {name: tuple(map(str, names)) for name, (_, names) in coded.items()},
    )
