"""Dates for synthetic listings, and prices that move: the same listings, published over some years, from a seed.

The level of the city rises. Each region and each place has a slope of its own, and a wave of one to three years. The
prices of the listings are those that they have without dates, times the level of their place on their day.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from homeprices.data.listing_dates import LISTED_ON
from homeprices.data.regions import region_of
from homeprices.pricing.features import key_of
from homeprices.pricing.inputs import LOCATION

LAST_DAY = date(2026, 11, 29)
YEARS = 3

CITY_SLOPE, REGION_SLOPE, PLACE_SLOPE = 0.08, 0.06, 0.04
"""Log price a year: the slope of the city, and the standard deviations of the slopes of regions and places."""

WAVE = 0.03
"""The amplitude of the wave of a region, in log price."""


def with_dates(listings: pd.DataFrame, seed: int, *, moving: bool, last: date = LAST_DAY) -> pd.DataFrame:
    """Return raw listings with `listed_on`, evenly spread over three years up to the day `last`.

    `moving` lets their prices follow the levels; else they stay as they are. Text in, text out.
    """
    rng = np.random.default_rng([seed, 1])
    days = YEARS * 365
    age = rng.integers(0, days, len(listings))  # days before the last one
    dated = listings.assign(**{LISTED_ON: [(last - timedelta(days=back)).isoformat() for back in age.tolist()]})
    if not moving:
        return dated
    years = (days - age) / 365
    places = listings[LOCATION].map(key_of)
    level = CITY_SLOPE * years
    for groups, slope, wave in ((places.map(region_of), REGION_SLOPE, WAVE), (places, PLACE_SLOPE, 0.0)):
        names, number = np.unique(groups.to_numpy(str), return_inverse=True)
        slopes, periods = rng.normal(0, slope, len(names)), rng.uniform(1, 3, len(names))
        phases = rng.uniform(0, 2 * np.pi, len(names))
        level = level + slopes[number] * years
        level = level + wave * np.sin(2 * np.pi * years / periods[number] + phases[number])
    prices = dated["price"].astype(float).to_numpy() * np.exp(level)
    return dated.assign(price=[f"{price:.2f}".rstrip("0").rstrip(".") for price in prices.tolist()])
