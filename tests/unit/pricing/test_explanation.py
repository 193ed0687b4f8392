"""Shapley values: the axioms, the definition by orders of the players, and the explanation of a real model's price."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeprices.errors import BundleRefused
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.explanation import (
    MOST_COMPARED,
    Explanation,
    Prices,
    explain,
    rounded_to_sum,
    shapley_values,
)
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import INPUTS
from homeprices.pricing.predictor import Predictor
from tests.support.bundles import make_bundle, price

HOME = Home(total_sqft=1800, location="Whitefield", bhk=3, bath=2)
TYPICAL = {"total_sqft": 1200.0, "bhk": 2.0, "bath": 2.0}

WORTHS = st.floats(0.1, 100_000)


@st.composite
def games(draw: st.DrawFn, most: int = 5) -> Prices:
    """The worths of all coalitions of one to five players."""
    players = draw(st.integers(1, most))
    return np.array(draw(st.lists(WORTHS, min_size=1 << players, max_size=1 << players)))


def by_orders(worths: Prices) -> list[float]:
    """The definition: the mean of a player's contribution over all orders in which the players can come."""
    players = len(worths).bit_length() - 1
    values = [0.0] * players
    for order in itertools.permutations(range(players)):
        coalition = 0
        for player in order:
            values[player] += worths[coalition | 1 << player] - worths[coalition]
            coalition |= 1 << player
    return [value / math.factorial(players) for value in values]


@given(games())
@settings(deadline=None)
def test_values_are_the_mean_contributions_over_all_orders(worths: Prices) -> None:
    assert shapley_values(worths) == pytest.approx(by_orders(worths), rel=1e-9, abs=1e-6)


@given(games())
@settings(deadline=None)
def test_values_sum_to_what_all_players_add(worths: Prices) -> None:
    assert shapley_values(worths).sum() == pytest.approx(worths[-1] - worths[0], rel=1e-9, abs=1e-6)


@given(games(), games())
@settings(deadline=None)
def test_the_values_of_a_sum_of_games_are_the_sums_of_their_values(one: Prices, other: Prices) -> None:
    size = min(len(one), len(other))
    one, other = one[:size], other[:size]
    expected = shapley_values(one) + shapley_values(other)
    assert shapley_values(one + other) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(games(4), st.data())
@settings(deadline=None)
def test_a_player_who_adds_nothing_has_no_value_and_changes_no_other(worths: Prices, data: st.DataObject) -> None:
    players = len(worths).bit_length() - 1
    at = data.draw(st.integers(0, players), label="the bit of the dummy")
    low = (1 << at) - 1
    masks = range(2 * len(worths))
    with_dummy = np.array([worths[(mask & low) | ((mask >> at + 1) << at)] for mask in masks])
    values = shapley_values(with_dummy).tolist()
    assert values.pop(at) == 0
    assert values == pytest.approx(shapley_values(worths), rel=1e-9, abs=1e-6)


@given(games(), st.data())
@settings(deadline=None)
def test_players_who_can_be_exchanged_have_the_same_value(worths: Prices, data: st.DataObject) -> None:
    players = len(worths).bit_length() - 1
    one, other = (data.draw(st.integers(0, players - 1)) for _ in range(2))
    for mask in range(len(worths)):
        if mask >> one & 1 and not mask >> other & 1:
            worths[mask ^ (1 << one) ^ (1 << other)] = worths[mask]
    values = shapley_values(worths)
    assert values[one] == pytest.approx(values[other], rel=1e-9, abs=1e-6)


def test_worths_that_are_not_those_of_all_coalitions_are_refused() -> None:
    with pytest.raises(ValueError, match="a power of 2"):
        shapley_values(np.ones(3))


@given(st.dictionaries(st.text(min_size=1), st.floats(-5000, 5000), min_size=1, max_size=8), st.integers(-4, 4))
@settings(deadline=None)
def test_rounded_values_sum_to_the_rounded_total(values: dict[str, float], units: int) -> None:
    total = round(math.fsum(values.values()), 2) + units / 100
    if not any(values.values()):
        total = 0.0
    rounded = rounded_to_sum(values, total)
    assert round(sum(rounded.values()), 2) == round(total, 2)
    for name, value in values.items():
        # Half a unit by rounding, and the units that are left over: half a unit each value, and those of the total.
        assert abs(rounded[name] - value) <= 0.005 + 0.01 * (len(values) / 2 + abs(units) + 1)
        assert value or rounded[name] == 0


# ---- of a model --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """The model of the small bundle: area^0.9 x bedrooms^0.1; it takes baths and ignores them."""
    return Predictor(Bundle.open(make_bundle(tmp_path_factory.mktemp("bundles") / "BO1", "BO1")))


def test_the_values_are_those_of_the_models_formula(model: Predictor) -> None:
    found = explain(model, HOME, TYPICAL)

    def worth(area: float, bedrooms: int) -> float:
        return price(area, "Whitefield", bedrooms)

    of_area = (worth(1800, 2) - worth(1200, 2) + worth(1800, 3) - worth(1200, 3)) / 2
    of_bedrooms = (worth(1200, 3) - worth(1200, 2) + worth(1800, 3) - worth(1800, 2)) / 2
    assert found.price == round(worth(1800, 3), 2)
    assert found.baseline == round(worth(1200, 2), 2)
    assert found.added == pytest.approx({"total_sqft": of_area, "bhk": of_bedrooms}, abs=0.02)
    assert list(found.added) == ["total_sqft", "bhk"]
    assert found.typical == TYPICAL


HOMES = st.builds(
    Home,
    total_sqft=st.floats(300, 5000),
    location=st.sampled_from(["Whitefield", "Indira Nagar", "Nowhere"]),
    bhk=st.integers(1, 6),
    bath=st.integers(1, 6),
    balcony=st.none() | st.integers(0, 4),
)


@given(HOMES, st.floats(300, 5000), st.integers(1, 6), st.integers(1, 6))
@settings(deadline=None)
def test_baseline_and_values_sum_to_the_estimate(
    model: Predictor, home: Home, area: float, bedrooms: int, baths: int
) -> None:
    found = explain(model, home, {"total_sqft": area, "bhk": float(bedrooms), "bath": float(baths), "balcony": 2.0})
    assert found.price == round(model.estimate([home])[0].price, 2)
    assert round(found.baseline + sum(found.added.values()), 2) == found.price
    typical = home.model_copy(update={"total_sqft": area, "bhk": bedrooms, "bath": baths})
    assert found.baseline == pytest.approx(model.estimate([typical])[0].price, abs=0.006)
    assert found.added.get("bath", 0) == 0, "the model ignores it"
    assert "balcony" not in found.added, "the model does not take it"


def test_a_typical_home_is_explained_by_nothing(model: Predictor) -> None:
    home = Home(total_sqft=1200, location="Whitefield", bhk=2, bath=2)
    found = explain(model, home, TYPICAL)
    assert (found.added, found.baseline) == ({}, found.price)


def test_an_input_without_a_typical_value_is_compared_with_a_missing_one(model: Predictor) -> None:
    # A missing area has no price here, and the coalition says so.
    with pytest.raises(BundleRefused, match="the model answers nan"):
        explain(model, HOME, {"bhk": 2.0, "bath": 2.0})


def test_all_declared_inputs_can_be_compared() -> None:
    assert len(INPUTS) - 1 <= MOST_COMPARED, "the location is the same in both homes"


def test_a_bundle_without_a_market_has_the_citys_typical_home(model: Predictor, tmp_path: Path) -> None:
    assert model.market is None
    assert model.typical_home("Whitefield") == {"total_sqft": 2650.0, "bhk": 3.0, "bath": 3.0}
    assert isinstance(explain(model, HOME, model.typical_home(None)), Explanation)
