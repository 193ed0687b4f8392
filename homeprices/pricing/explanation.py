"""Why an estimate is what it is: the exact Shapley value of each input, against a typical home of the same place.

A coalition is a home that has some inputs from the visitor's home and the others from the typical one. The value of an
input is its mean effect on the price, over all orders in which the inputs can be exchanged (Shapley, 1953). The values
sum to the difference of the two prices, and an input that changes no price has the value 0. All coalitions are priced
in one call of the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from homeprices.pricing.features import MISSING
from homeprices.pricing.home import FEATURES, Home
from homeprices.pricing.inputs import INPUT, LOCATION
from homeprices.pricing.predictor import PRICE_DIGITS, Estimate, Predictor

MOST_COMPARED = 8
"""Inputs that one explanation compares: 2^8 = 256 rows of the model."""

Feature = float | str
Prices = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Explanation:
    """The estimate of a home, that of the typical home, and what each input adds to it.

    All are rounded as estimates are, and `estimate` is exactly `baseline` and the sum of `added`, largest first.
    `typical` holds the inputs of the typical home that the visitor's home has, too.
    """

    estimate: Estimate
    price: float
    baseline: float
    added: Mapping[str, float]
    typical: Mapping[str, Feature]


def explain(model: Predictor, home: Home, typical: Mapping[str, Feature]) -> Explanation:
    """Return why the model gives its price for a home. `typical` is in the model's vocabulary, without a location.

    Both homes are in the same place, and an input that the home does not give is missing in both. So neither has a
    value. An input that the model does not use has none. Raises BundleRefused for a coalition without a price.
    """
    [estimate] = model.estimate([home])
    given = {name: FEATURES[name](home) for name in model.inputs if name != LOCATION}
    typical = {
        name: typical.get(name, MISSING if INPUT[name].is_text else math.nan)
        for name, value in given.items()
        if not is_blank(value)
    }
    names = [name for name, usual in typical.items() if not _equal(usual, given[name])]
    if len(names) > MOST_COMPARED:
        raise ValueError(f"{len(names)} inputs are compared, at most {MOST_COMPARED} can be")
    columns = _coalitions({**given, LOCATION: estimate.location}, {name: typical[name] for name in names})
    prices = model.price_columns(columns, model.price_change(home.place))[0]
    prices[-1] = estimate.price  # that of the single home, because a batch may differ from it in the last digits
    price, baseline = (round(float(one), PRICE_DIGITS) for one in (prices[-1], prices[0]))
    values = dict(zip(names, shapley_values(prices).tolist(), strict=True))
    rounded = rounded_to_sum(values, price - baseline)
    largest_first = dict(sorted(rounded.items(), key=lambda item: -abs(item[1])))
    return Explanation(estimate, price, baseline, largest_first, typical)


def shapley_values(worths: Prices) -> Prices:
    """Return the Shapley value [n] of each player of a game. `worths` [2^n] holds the worth of each coalition.

    Player i belongs to the coalitions whose index has bit i. The values sum to `worths[-1] - worths[0]`.
    """
    players = len(worths).bit_length() - 1
    if len(worths) != 1 << players:
        raise ValueError(f"{len(worths)} worths are not those of all coalitions: their number is a power of 2")
    coalitions = np.arange(len(worths))
    members = (coalitions[:, None] >> np.arange(players)) & 1
    sizes = members.sum(axis=1)
    # How many orders of the players begin with those of a coalition and go on with a given other one, of all orders.
    orders = [math.factorial(size) * math.factorial(players - size - 1) for size in range(players)]
    weights = np.array([*orders, 0], dtype=np.float64) / math.factorial(players)
    values = np.empty(players)
    for player in range(players):
        without = coalitions[members[:, player] == 0]
        values[player] = weights[sizes[without]] @ (worths[without | 1 << player] - worths[without])
    return values


def rounded_to_sum(values: Mapping[str, float], total: float) -> dict[str, float]:
    """Return the values rounded as prices are, so that they sum to `total`, which is rounded already.

    The units that rounding leaves over go to the values that it changes most. A value of 0 stays 0.
    """
    scale = 10**PRICE_DIGITS
    units = {name: round(value * scale) for name, value in values.items()}
    left = round(total * scale) - sum(units.values())
    sign = 1 if left > 0 else -1
    by_change = sorted(
        (name for name in values if values[name]), key=lambda name: sign * (units[name] - values[name] * scale)
    )
    for number in range(abs(left)):
        units[by_change[number % len(by_change)]] += sign
    return {name: value / scale for name, value in units.items()}


def is_blank(value: Feature) -> bool:
    """Return whether an input in the model's vocabulary is missing."""
    return value == MISSING or value != value


def _equal(one: Feature, other: Feature) -> bool:
    return one == other or (is_blank(one) and is_blank(other))


def _coalitions(given: Mapping[str, Any], typical: Mapping[str, Feature]) -> dict[str, npt.NDArray[Any]]:
    """Return a column [2^n] for each given input: coalition i has those inputs from the home whose bit i has."""
    rows = np.arange(1 << len(typical))
    bits = {name: bit for bit, name in enumerate(typical)}
    columns = {}
    for name, value in given.items():
        kind = object if INPUT[name].is_text else np.float32
        column = np.full(len(rows), value, dtype=kind)
        if name in bits:
            column[(rows >> bits[name]) & 1 == 0] = typical[name]
        columns[name] = column
    return columns
