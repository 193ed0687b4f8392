"""Place prices: the median price a unit of area of a place over the last 90 days, as of any day, from dated listings.

Every level is known at its day: it is computed of listings before the day only. A listing of the same day is not known,
so no listing counts for its own level (leave-one-out), and neither does any later one.

A median of few listings says little, so it is shrunk: the level of a place to that of its region, the level of a region
to that of the city, each with the weight of some listings. What a place usually costs above its region stays: the
target is the level of the region and the mean distance of the place's earlier listings from it. So a place without
recent listings moves with its region.

A model learns prices at the level of one day, the base. `time_factors` says what to divide the listed prices by. In
assessment this is the time adjustment of prices (IAAO, Standard on Ratio Studies, 2013, section 5.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from homeprices.data.listing_dates import LISTED_ON
from homeprices.data.regions import region_of
from homeprices.pricing.features import key_of
from homeprices.pricing.inputs import AREA, LOCATION
from homeprices.pricing.market import MOST_PLACE_PRICES, PLACE_PRICE_DAYS, GroupPrice, PlacePrice, PlacePrices, rate_of

LEAST_LISTINGS = 30
"""Listings of the city within 90 days without which there is no level at all."""

REGION_PRIOR, PLACE_PRIOR, DISTANCE_PRIOR = 30.0, 15.0, 3.0
"""Weights in listings: of the target in a region's and a place's level, and of zero in a usual distance."""

RATE_DIGITS = 2
_DAY_SPAN = 1 << 23  # more days than there are dates, so that a group and a day make one sortable number
_EPOCH = date(1970, 1, 1).toordinal()

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Levels:
    """Log levels of the city, a region and a place at some days, and the listings in their windows; NaN: not known."""

    city: Floats
    region: Floats
    place: Floats
    counts: tuple[Integers, Integers, Integers]


@dataclass(frozen=True, eq=False)
class History:
    """Dated listings, [N] each: the day as a number, the log rate, and the numbers of place and region."""

    days: Integers
    log_rates: Floats
    place: Integers
    region: Integers
    places: tuple[str, ...]
    """The key of each place."""
    regions: tuple[str, ...]
    region_of_place: Integers

    def before(self, day: date) -> History:
        """Return the listings before a day."""
        chosen = self.days < _number(day)
        days, place, region = (values[chosen] for values in (self.days, self.place, self.region))
        return replace(self, days=days, log_rates=self.log_rates[chosen], place=place, region=region)

    @cached_property
    def own_levels(self) -> _Levels:
        """The levels that were known on the day of each listing."""
        return self.levels(self.days, self.place, self.region)

    @cached_property
    def _city_known(self) -> Floats:
        return _city_level(self, self.days)[0]

    @cached_property
    def _region_known(self) -> Floats:
        known = self._city_known
        return _group_level(self, self.region, REGION_PRIOR, known, self.days, self.region, known)[0]

    def levels(self, days: Integers, place: Integers, region: Integers) -> _Levels:
        """Return the levels known on each of these days, for a place and a region beside each day."""
        city, in_city = _city_level(self, days)
        regional, in_region = _group_level(self, self.region, REGION_PRIOR, self._city_known, days, region, city)
        local, in_place = _group_level(self, self.place, PLACE_PRIOR, self._region_known, days, place, regional)
        return _Levels(city, regional, local, (in_city, in_region, in_place))


def history_of(rows: pd.DataFrame) -> History:
    """Return the history of clean rows with the column `listed_on`. Their order does not matter."""
    keys = rows[LOCATION].map({text: key_of(text) for text in rows[LOCATION].unique()})
    places = sorted(set(keys))
    named = [region_of(place) for place in places]
    regions = sorted(set(named))
    of_place = np.array([regions.index(region) for region in named], dtype=np.int64)
    place = keys.map({key: number for number, key in enumerate(places)}).to_numpy(np.int64)
    rates = np.log(rate_of(rows["price"], rows[AREA]).to_numpy(np.float64))
    days = _numbers(rows[LISTED_ON])
    return History(days, rates, place, of_place[place], tuple(places), tuple(regions), of_place)


def table_as_of(history: History, day: date) -> PlacePrices | None:
    """Return the levels known on a day, of listings before it: the same for any history that agrees before the day.

    None with fewer than LEAST_LISTINGS listings in the 90 days. Of more than 20,000 places, the most listed stay.
    """
    earlier = history.before(day)
    places = np.unique(earlier.place)
    if len(places) > MOST_PLACE_PRICES:
        seen = np.bincount(earlier.place, minlength=len(history.places))
        places = np.sort(np.argsort(-seen, kind="stable")[:MOST_PLACE_PRICES])
    found = earlier.levels(np.full(len(places), _number(day)), places, history.region_of_place[places])
    if not len(places) or np.isnan(found.city[0]):
        return None
    city, region, place = (_rates(levels).tolist() for levels in (found.city, found.region, found.place))
    counts = [count.tolist() for count in found.counts]
    names = [history.regions[number] for number in history.region_of_place[places].tolist()]
    return PlacePrices(
        as_of=day,
        city=GroupPrice(rupees_per_sqft=city[0], listings=counts[0][0]),
        regions={
            name: GroupPrice(rupees_per_sqft=rate, listings=count)
            for name, rate, count in sorted(zip(names, region, counts[1], strict=True))
        },
        places={
            history.places[number]: PlacePrice(rupees_per_sqft=rate, listings=count, region=name)
            for number, rate, count, name in zip(places.tolist(), place, counts[2], names, strict=True)
        },
    )


def time_factors(history: History, base: PlacePrices) -> Floats:
    """Return the level of each listing's place at its day as a multiple of the level in the table `base`, [N].

    The same as `PlacePrices.change_since` of the table of each listing's day. NaN where the city had no level yet.
    """
    own, known = history.own_levels, [base.places.get(key) for key in history.places]
    then = np.array([one.rupees_per_sqft if one else np.nan for one in known])[history.place]
    regional = [base.regions.get(name) for name in history.regions]
    of_region = np.array([one.rupees_per_sqft if one else np.nan for one in regional])[history.region]
    of_place = _rates(own.place) / then
    of_region = _rates(own.region) / of_region
    of_region[np.isnan(own.place) & np.isnan(then)] = np.nan  # a place that neither table has counts as the city
    of_city = _rates(own.city) / base.city.rupees_per_sqft
    return np.where(~np.isnan(of_place), of_place, np.where(~np.isnan(of_region), of_region, of_city))


def as_frame(table: PlacePrices) -> pd.DataFrame:
    """Return a table as rows: `of` (city, region, place), `name`, `region`, the price level, and the listings."""
    rate = "rupees_per_sqft"
    rows: list[dict[str, Any]] = [{"of": "city", "name": "", "region": "", **table.city.model_dump()}]
    for name, group in table.regions.items():
        rows.append({"of": "region", "name": name, "region": name, **group.model_dump()})
    for name, place in table.places.items():
        rows.append({"of": "place", "name": name, **place.model_dump()})
    return pd.DataFrame(rows, columns=["of", "name", "region", rate, "listings"])


def _city_level(history: History, days: Integers) -> tuple[Floats, Integers]:
    one = np.zeros(len(history.days), dtype=np.int64)
    medians, counts = _window(history.days, history.log_rates, one, days, np.zeros(len(days), dtype=np.int64))
    return np.where(counts >= LEAST_LISTINGS, medians, np.nan), counts


def _group_level(
    history: History, groups: Integers, prior: float, parents: Floats, days: Integers, asked: Integers, parent: Floats
) -> tuple[Floats, Integers]:
    """Return the log levels of the groups `asked` at some days, whose parents have the levels `parent`.

    `groups` and `parents` are the group of each listing of the history and the parent's level at its day. NaN where the
    parent has no level or the group no earlier listing.
    """
    medians, counts = _window(history.days, history.log_rates, groups, days, asked)
    distances, seen = _mean_before(history.days, history.log_rates - parents, groups, days, asked)
    target = parent + distances
    shrunk = (counts * np.where(counts > 0, medians, 0.0) + prior * target) / (counts + prior)
    return np.where(seen > 0, shrunk, np.nan), counts


def _window(days: Integers, values: Floats, groups: Integers, at: Integers, asked: Integers) -> tuple[Floats, Integers]:
    """Return the median of a group's values in the 90 days before each day, and their number; NaN without any."""
    order = np.lexsort((days, groups))
    keys, ordered = groups[order] * _DAY_SPAN + days[order], values[order]
    wanted, back = np.unique(asked * _DAY_SPAN + at, return_inverse=True)  # each group and day once
    bounds = np.stack([np.searchsorted(keys, wanted - PLACE_PRICE_DAYS), np.searchsorted(keys, wanted)], axis=1)
    windows: list[tuple[int, int]] = [(int(start), int(stop)) for start, stop in bounds]
    medians = np.array([np.median(ordered[start:stop]) if stop > start else np.nan for start, stop in windows])
    return medians[back], np.array([stop - start for start, stop in windows], dtype=np.int64)[back]


def _mean_before(
    days: Integers, values: Floats, groups: Integers, at: Integers, asked: Integers
) -> tuple[Floats, Integers]:
    """Return the mean of a group's values before each day, shrunk to 0, and the number of its listings before it.

    A listing without a value (NaN) counts as a listing, not in the mean.
    """
    order = np.lexsort((values, days, groups))  # by value too, so that the order of the rows changes no last digit
    keys, ordered = groups[order] * _DAY_SPAN + days[order], values[order]
    usable = ~np.isnan(ordered)
    sums = np.concatenate([[0.0], np.cumsum(np.where(usable, ordered, 0.0))])
    numbers = np.concatenate([[0], np.cumsum(usable)])
    starts, stops = np.searchsorted(keys, asked * _DAY_SPAN), np.searchsorted(keys, asked * _DAY_SPAN + at)
    return (sums[stops] - sums[starts]) / (numbers[stops] - numbers[starts] + DISTANCE_PRIOR), stops - starts


def _rates(log_levels: Floats) -> Floats:
    return np.asarray(np.round(np.exp(log_levels), RATE_DIGITS), dtype=np.float64)


def _number(day: date) -> int:
    return day.toordinal() + PLACE_PRICE_DAYS  # no window reaches below 0


def _numbers(days: pd.Series) -> Integers:
    return days.to_numpy(dtype="datetime64[D]").astype(np.int64) + _EPOCH + PLACE_PRICE_DAYS
