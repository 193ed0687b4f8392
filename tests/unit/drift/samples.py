"""Homes for tests of drift: made-up, seeded, and like nothing in particular."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeprices.drift.samples import Sample, sample_of_columns

PLACES = np.array([f"Place {n}" for n in range(40)])
WEIGHTS = 1 / np.arange(1, 41) / np.sum(1 / np.arange(1, 41))


def columns(rows: int, seed: int = 1) -> dict[str, Any]:
    """So many homes, column by column: correlated areas, bedrooms and prices; half of the balconies are missing."""
    chance = np.random.default_rng(seed)
    bhk = chance.choice([1.0, 2.0, 3.0, 4.0], rows, p=[0.1, 0.45, 0.35, 0.1])
    area = bhk * 550 * np.exp(chance.normal(0, 0.25, rows))
    return {
        "total_sqft": area,
        "bhk": bhk,
        "bath": np.maximum(1, bhk - chance.integers(0, 2, rows)),
        "balcony": np.where(chance.random(rows) < 0.5, np.nan, chance.integers(0, 4, rows)),
        "location": chance.choice(PLACES, rows, p=WEIGHTS).tolist(),
        "estimated_price": area * 0.06,
    }


def sample(rows: int, seed: int = 1, **changes: Any) -> Sample:
    """The same as a sample, some columns being others."""
    return sample_of_columns({**columns(rows, seed), **changes}, rows)
