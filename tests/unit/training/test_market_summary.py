"""The market of training rows: typical homes by place, and a bounded number of listings without texts."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from homeprices.data.cleaning import clean
from homeprices.data.preparation import prepare
from homeprices.data.synthetic import make_listings
from homeprices.model.feature_matrix import learn_locations, model_inputs
from homeprices.pricing.inputs import NUMBERS
from homeprices.pricing.market import MOST_LISTINGS_A_PLACE, Market
from homeprices.training.market_summary import summarize_market


@pytest.fixture(scope="module")
def training() -> pd.DataFrame:
    """The training rows of synthetic listings."""
    return prepare(clean(make_listings(3_000, seed=11))).training


@pytest.fixture(scope="module")
def inputs(training: pd.DataFrame) -> pd.DataFrame:
    """Their model inputs."""
    return model_inputs(training, learn_locations(training, 10))


@pytest.fixture(scope="module")
def market(training: pd.DataFrame, inputs: pd.DataFrame) -> Market:
    """Their market."""
    return summarize_market(training, inputs)


def test_each_learned_place_has_the_medians_of_its_homes(
    market: Market, training: pd.DataFrame, inputs: pd.DataFrame
) -> None:
    assert set(market.places) == set(inputs["location"]) - {"other"}
    for place, found in market.places.items():
        rows = inputs[inputs["location"] == place]
        assert found.homes == len(rows)
        assert found.typical["total_sqft"] == pytest.approx(rows["total_sqft"].median(), abs=0.01)
        assert found.typical["bhk"] == sorted(rows["bhk"])[(len(rows) - 1) // 2]
        most = rows["area_type"].value_counts()
        assert found.typical["area_type"] == min(most[most == most.max()].index)
        per_sqft = training.loc[rows.index, "price"] * 100_000 / training.loc[rows.index, "total_sqft"]
        assert found.rupees_per_sqft == pytest.approx(per_sqft.median(), abs=1)
        assert "society" not in found.typical and "location" not in found.typical
    assert market.city.homes == len(inputs)


def test_a_place_has_a_bounded_number_of_listings_over_all_its_areas(
    market: Market, training: pd.DataFrame, inputs: pd.DataFrame
) -> None:
    stored = pd.Series(market.listings.place).map(dict(enumerate(market.listings.places)))
    for place, found in market.places.items():
        areas = np.array(market.listings.numbers["total_sqft"])[stored == place]
        assert len(areas) == min(found.homes, MOST_LISTINGS_A_PLACE)
        rows = training[inputs["location"] == place]["total_sqft"]
        assert (areas.min(), areas.max()) == (pytest.approx(rows.min(), abs=0.01), pytest.approx(rows.max(), abs=0.01))
    others = set(market.listings.places) - set(market.places)
    assert others and others <= set(training["location"]), "a home in a place that is not learned keeps its name"


def test_nothing_but_places_and_numbers_is_stored_of_a_listing(market: Market, training: pd.DataFrame) -> None:
    assert set(market.listings.numbers) == set(NUMBERS)
    document = json.loads(market.model_dump_json())["listings"]
    texts = set(document["places"])
    assert not texts & (set(training["society"]) - set(training["location"]))
    assert {type(value) for name, column in document.items() if name != "places" for value in column} <= {
        int, float, str,
    }  # fmt: skip
    assert all(not isinstance(value, str) for column in document["numbers"].values() for value in column)


def test_it_is_the_same_each_time_and_whatever_the_order_of_the_rows(
    market: Market, training: pd.DataFrame, inputs: pd.DataFrame
) -> None:
    shuffled = training.sample(frac=1, random_state=1)
    again = summarize_market(shuffled, inputs.loc[shuffled.index])
    assert (again.city, again.places) == (market.city, market.places)
    assert sorted(again.listings.rupees_per_sqft) == sorted(market.listings.rupees_per_sqft)


def test_it_is_small(market: Market) -> None:
    assert len(market.model_dump_json()) < 64 * len(market.listings.place) + 400 * len(market.places) + 1000
