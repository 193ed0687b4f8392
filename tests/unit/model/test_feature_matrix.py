"""Columns of the design matrix: which of them are the same column."""

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from homeprices.model.calibration import fit_interval
from homeprices.model.feature_columns import Column, Lookup, Number, rounded_log
from homeprices.model.feature_matrix import join
from homeprices.model.features_by_estimator import target_encoded_features
from homeprices.model.isotonic_curves import IsotonicCurves

HOMES = pd.DataFrame(
    {
        "total_sqft": np.array([900, 1200, 1500], dtype=np.float32),
        "bhk": np.array([2, 3, 3], dtype=np.float32),
        "bath": np.array([1, 2, 2], dtype=np.float32),
        "balcony": np.array([1, np.nan, 2], dtype=np.float32),
        "area_type": ["Built-up", "Plot Area", ""],
        "availability": ["ready", "later", ""],
        "location": ["Hebbal", "Hebbal", "Whitefield"],
        "society": ["a", "a", ""],
    }
)
PRICES = np.array([50.0, 80.0, 90.0])


def number(missing: float) -> Column:
    return Number("balcony", missing=missing)


def lookup(missing: float) -> Column:
    return Lookup("area_type", "code", {"Built-up": 1.0}, missing)


@pytest.mark.parametrize("make", [number, lookup])
def test_a_missing_value_that_is_nan_equals_one_that_is_another_nan(make: Callable[[float], Column]) -> None:
    one, other = make(float("nan")), make(float("nan"))
    assert one == other
    assert one == pickle.loads(pickle.dumps(one))
    assert one != make(-1.0)
    assert make(-1.0) == make(-1.0)
    assert make(-1.0) != make(0.0)


def test_columns_of_another_kind_or_name_or_direction_differ() -> None:
    assert Number("bhk") != Number("bath")
    assert Number("bhk") != Number("bhk", direction=1)
    assert number(np.nan) != lookup(np.nan)
    assert Number("bhk") != ("bhk", 0, np.nan)


def test_equal_columns_have_one_hash() -> None:
    assert len({Number("balcony", missing=float("nan")), Number("balcony", missing=float("nan")), Number("bhk")}) == 2


def test_designs_of_the_same_homes_are_joined_into_one_of_them() -> None:
    """A NaN of its own in each, as after a model was loaded: every Python answers the same."""
    one, other = (target_encoded_features(HOMES, PRICES, missing=float("nan")) for _ in range(2))
    joint, places = join(one, other)
    assert len(joint.columns) == len(one.columns)
    assert places[0] == places[1]


def test_what_holds_arrays_is_equal_to_itself_alone() -> None:
    """Compared field by field, arrays have no one answer."""
    table = IsotonicCurves(
        ("Hebbal",), np.zeros(2, np.int64), np.zeros(2, np.float32), np.full((1, 2), np.nan, np.float32)
    )
    assert table == table
    assert table != copy.copy(table)


def test_a_logarithm_is_the_same_when_a_processor_differs_in_its_last_bit() -> None:
    prices = np.array([8.0, 37.5, 120.0, 3_600.0])
    for neighbour in (np.nextafter(prices, 0), np.nextafter(prices, np.inf)):
        np.testing.assert_array_equal(rounded_log(neighbour), rounded_log(prices))
    np.testing.assert_allclose(rounded_log(prices), np.log(prices), atol=1e-9)


def test_the_number_of_listings_is_one_column_for_the_prices_and_for_their_interval() -> None:
    """Two that differ in a last bit would be two columns of the graph, on some processors only."""
    log_prices = rounded_log(PRICES)
    interval = fit_interval(HOMES, log_prices, log_prices, log_prices, seed=1)
    [count] = [one for one in interval.design.columns if one.names() == ["location: listings"]]
    assert count in target_encoded_features(HOMES, PRICES).columns
