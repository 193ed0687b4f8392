"""The content of `market.json`: the typical home of each place, rupees a square foot, and some of the training homes.

Of a listing, its place, its numbers and its price a square foot are stored: no id, no name, no other text. A place
has at most `MOST_LISTINGS_A_PLACE` listings, spread evenly over its areas. The hold-out is not in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from homeprices.pricing.features import MISSING, OTHER_LOCATION
from homeprices.pricing.inputs import AREA, COUNTS, INPUTS, LOCATION, NUMBERS, TEXT_LIMIT, WHOLE_NUMBERS
from homeprices.pricing.market import (
    MOST_LISTINGS,
    MOST_LISTINGS_A_PLACE,
    Listings,
    Market,
    PlaceMarket,
    has_vocabulary,
    rate_of,
)

AREA_DIGITS = 2


def summarize_market(training: pd.DataFrame, inputs: pd.DataFrame) -> Market:
    """Return the market of training rows, of which `inputs` are the model inputs, with the location as it is learned.

    Homes whose location the model has not learned are no place of their own, but keep its name as listings.
    """
    rates = pd.Series(rate_of(training["price"], training[AREA]), index=training.index)
    groups = {str(place): rows.index for place, rows in inputs.groupby(LOCATION, sort=True)}
    places = {
        place: _place(inputs.loc[index], rates[index]) for place, index in groups.items() if place != OTHER_LOCATION
    }
    most = max(1, min(MOST_LISTINGS_A_PLACE, MOST_LISTINGS // len(groups)))
    chosen = pd.Index([line for index in groups.values() for line in _spread(training.loc[index], most)])
    names = inputs[LOCATION].where(inputs[LOCATION] != OTHER_LOCATION, training[LOCATION])[chosen]
    return Market(
        city=_place(inputs, rates),
        places=places,
        listings=_listings(training.loc[chosen], names.str.slice(0, TEXT_LIMIT), rates[chosen]),
    )


def _place(inputs: pd.DataFrame, rates: pd.Series) -> PlaceMarket:
    typical = {field.name: _typical(inputs[field.name]) for field in INPUTS if field.name != LOCATION}
    return PlaceMarket(
        homes=len(inputs),
        rupees_per_sqft=_whole(rates.median()),
        typical={name: value for name, value in typical.items() if value is not None},
    )


def _typical(column: pd.Series) -> float | str | None:
    """Return the median of a number, the lower one of a whole number, or the most frequent value; None without one."""
    name = str(column.name)
    if name in NUMBERS:
        values = column.to_numpy(float)
        present = np.sort(values[~np.isnan(values)])
        if not len(present):
            return None
        median = present[(len(present) - 1) // 2] if name in WHOLE_NUMBERS else np.median(present)
        return round(float(median), AREA_DIGITS)
    counts = Counter(value for value in column.tolist() if value != MISSING)
    return min(counts, key=lambda value: (-counts[value], value)) if counts and has_vocabulary(name) else None


def _spread(rows: pd.DataFrame, most: int) -> Sequence[Any]:
    """Return the labels of at most so many rows, at even distances in the order of their areas."""
    ordered = rows.sort_values([AREA, *COUNTS[:1], "price"], kind="stable").index
    if len(ordered) <= most:
        return list(ordered)
    return list(ordered[np.linspace(0, len(ordered) - 1, most).round().astype(int)])


def _listings(rows: pd.DataFrame, names: pd.Series, rates: pd.Series) -> Listings:
    places = sorted(set(names))
    position = {name: number for number, name in enumerate(places)}
    return Listings(
        places=places,
        place=[position[name] for name in names],
        rupees_per_sqft=[_whole(value) for value in rates],
        numbers={
            name: [None if pd.isna(value) else round(float(value), AREA_DIGITS) for value in rows[name]]
            for name in NUMBERS
        },
    )


def _whole(value: float) -> float:
    return max(1.0, float(round(value)))
