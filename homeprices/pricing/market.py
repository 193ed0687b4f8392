"""The market that a model was trained on: typical homes of places, rupees a square foot, some listings, and the
accuracy of estimates by kind of home. And place prices, by which an estimate follows the market since then.

`market.json` of a bundle holds the market. Serving reads the file at the first explanation, never for a prediction.
Bundles from before it have none. `place_prices.json` is in the bundles of models that use place prices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from homeprices.pricing.accuracy import Accuracy, Segment
from homeprices.pricing.features import key_of
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import AREA, COUNTS, INPUT, SECOND, TEXT_LIMIT, WHOLE_NUMBERS
from homeprices.pricing.manifest import Reference, TextReference
from homeprices.words import COUNTED

MARKET_FILE = "market.json"
MOST_LISTINGS = 20_000
MOST_LISTINGS_A_PLACE = 40

PLACE_PRICES_FILE = "place_prices.json"
PLACE_PRICE_DAYS: Final = 90
MOST_PLACE_PRICES = 20_000
MOST_CHANGE = 4.0
"""Prices of a place that change more than by this factor, up or down, since the training are a fault of a table."""

Name = Annotated[str, Field(min_length=1, max_length=TEXT_LIMIT)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=TEXT_LIMIT)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PlaceMarket(_Frozen):
    """A place: how many training homes it has, their median rupees a square foot, and its typical home.

    `typical` holds medians and most frequent values in the model's vocabulary; an input without one is left out.
    """

    homes: int = Field(ge=1)
    rupees_per_sqft: Positive
    typical: dict[str, float | Text]


class Listings(_Frozen):
    """Training homes as columns: `place` is an index of `places`; a missing number is None."""

    places: list[Name] = Field(max_length=MOST_LISTINGS)
    place: list[Annotated[int, Field(ge=0)]] = Field(max_length=MOST_LISTINGS)
    rupees_per_sqft: list[Positive] = Field(max_length=MOST_LISTINGS)
    numbers: dict[str, list[Annotated[float, Field(ge=0, allow_inf_nan=False)] | None]]

    @model_validator(mode="after")
    def _columns_fit(self) -> Listings:
        rows = len(self.place)
        if {len(self.rupees_per_sqft), *map(len, self.numbers.values())} != {rows}:
            raise ValueError("the columns of the listings have different lengths")
        if any(number >= len(self.places) for number in self.place):
            raise ValueError("a listing is in a place that has no name")
        if not {AREA, SECOND} <= self.numbers.keys():
            raise ValueError(f"the listings have no {INPUT[AREA].noun} or no {INPUT[SECOND].noun}")
        return self


@dataclass(frozen=True)
class Comparable:
    """A listing that resembles a home. `alike` is from 0 to 1."""

    place: str
    area: float
    second: float
    """The number of the input `SECOND`."""
    rupees_per_sqft: float
    alike: float


class Market(_Frozen):
    """The content of `market.json`; without `accuracy` in a bundle that is older than it."""

    schema_version: Literal[1] = 1
    city: PlaceMarket
    places: dict[Name, PlaceMarket]
    listings: Listings
    accuracy: Accuracy | None = None

    def accuracy_of(self, home: Home, place: str | None, estimate: float) -> Segment | None:
        """Return how accurate estimates of such homes are; None if it was not measured. `place` is None if unknown."""
        if self.accuracy is None:
            return None
        listings = self.places[place].homes if place in self.places else 0
        return self.accuracy.of(listings, getattr(home, COUNTS[0]) if COUNTS else None, estimate)

    @cached_property
    def _columns(self) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float32]]]:
        numbers = self.listings.numbers.items()
        return np.array(self.listings.place, dtype=np.int64), {
            name: np.array([math.nan if value is None else value for value in values], dtype=np.float32)
            for name, values in numbers
        }

    def comparables(self, home: Home, place: str | None, count: int) -> list[Comparable]:
        """Return the training homes that are most like a home, in the named place or, for None, in the whole city.

        Likeness is Gower's coefficient over the numbers that both homes have. Each number counts alike: the smaller
        one as a share of the larger one.
        """
        places, numbers = self._columns
        rows = np.arange(len(places))
        if place is not None:
            rows = rows[places == self.listings.places.index(place)] if place in self.listings.places else rows[:0]
        given = {name: getattr(home, name) for name in numbers if getattr(home, name) is not None}
        likeness = np.array([_likeness(column[rows], given[name]) for name, column in numbers.items() if name in given])
        alike = np.nanmean(likeness, axis=0)
        nearest = np.argsort(-alike, kind="stable")[:count]
        return [
            Comparable(
                place=self.listings.places[places[row]],
                area=float(numbers[AREA][row]),
                second=float(numbers[SECOND][row]),
                rupees_per_sqft=self.listings.rupees_per_sqft[row],
                alike=float(share),
            )
            for row, share in zip(rows[nearest].tolist(), alike[nearest].tolist(), strict=True)
        ]


class GroupPrice(_Frozen):
    """The price level of a place, a region or the city (`words.RATE`), and its listings in the last 90 days."""

    rupees_per_sqft: Positive
    listings: int = Field(ge=0)


class PlacePrice(GroupPrice):
    """The price level of a place, and its region."""

    region: Name


class PlacePrices(_Frozen):
    """The price levels that were known on a day, before any listing of that day: a point-in-time table.

    `places` has a place by its key (`key_of`), if it was listed before the day. `data.place_prices` computes the table.
    """

    schema_version: Literal[1] = 1
    as_of: date
    days: Literal[90] = PLACE_PRICE_DAYS
    city: GroupPrice
    regions: dict[Name, GroupPrice] = Field(max_length=MOST_PLACE_PRICES)
    places: dict[Name, PlacePrice] = Field(max_length=MOST_PLACE_PRICES)

    @model_validator(mode="after")
    def _regions_are_there(self) -> PlacePrices:
        if missing := {place.region for place in self.places.values()} - self.regions.keys():
            raise ValueError(f"a place is in a region that has no price: {min(missing)}")
        return self

    def change_since(self, base: PlacePrices, place: str) -> float:
        """Return the price level of a place as a multiple of its level in an earlier table, for any spelling.

        The levels compared are of the place if both tables have it, else of its region, else of the city.
        """
        key = key_of(place)
        now, then = self.places.get(key), base.places.get(key)
        if now is not None and then is not None:
            return now.rupees_per_sqft / then.rupees_per_sqft
        known = now or then
        if known is not None and known.region in self.regions and known.region in base.regions:
            return self.regions[known.region].rupees_per_sqft / base.regions[known.region].rupees_per_sqft
        return self.city.rupees_per_sqft / base.city.rupees_per_sqft

    def largest_change_since(self, base: PlacePrices) -> float:
        """Return the largest factor by which any place or the city has changed, up or down, at least 1."""
        changes = [self.change_since(base, place) for place in ("", *self.places)]
        return max(max(change, 1 / change) for change in changes)


def typical_of_reference(reference: Reference) -> dict[str, float | str]:
    """Return the city's typical home for a bundle without a market, from the distributions of its training homes."""
    typical: dict[str, float | str] = {}
    for name, found in reference.features.items():
        if not isinstance(found, TextReference):
            typical[name] = float(math.floor(found.median)) if name in WHOLE_NUMBERS else found.median
        elif found.counts and has_vocabulary(name):
            typical[name] = max(found.counts, key=found.counts.__getitem__)
    return typical


def has_vocabulary(name: str) -> bool:
    """Return whether a text input has a few values, of which one is typical; a name has not."""
    return bool(INPUT[name].choices or INPUT[name].options)


def rate_of(price: Any, area: Any) -> Any:
    """Return the price of one unit of the area (`words.RATE`) for a price, or for an array of prices."""
    return price * COUNTED / area


def _likeness(values: npt.NDArray[np.float32], value: float) -> npt.NDArray[np.float32]:
    larger = np.maximum(values, value)
    return np.divide(np.minimum(values, value), larger, out=np.ones_like(values), where=larger != 0)
