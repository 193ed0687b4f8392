"""The declared inputs, and what is derived from them."""

from __future__ import annotations

import pytest

from homeprices.errors import InvalidInput
from homeprices.input_field import InputField
from homeprices.pricing.features import Locations
from homeprices.pricing.home import FEATURES, Home
from homeprices.pricing.inputs import INPUT, INPUTS, NUMBERS, OPTIONAL, REQUIRED, TEXTS, limits_of
from homeprices.pricing.manifest import Input

FORM = {field.name: field.example for field in INPUTS if field.required}


def test_the_order_is_that_of_stored_bundles_and_batches() -> None:
    assert REQUIRED == ("total_sqft", "location", "bhk", "bath")
    assert OPTIONAL == ("area_type", "balcony", "availability", "society")
    assert NUMBERS == ("total_sqft", "bhk", "bath", "balcony")
    assert TEXTS == ("location", "area_type", "availability", "society")


@pytest.mark.parametrize("field", INPUTS, ids=lambda field: field.name)
def test_an_example_is_accepted_and_is_a_feature_that_the_graph_takes(field: InputField) -> None:
    home = Home.parse({**FORM, field.name: field.example})
    feature = FEATURES[field.name](home)
    assert isinstance(feature, str) if field.is_text else isinstance(feature, int | float)
    assert Input(name=field.name, type="text" if field.is_text else "number").name == field.name


@pytest.mark.parametrize("name", NUMBERS)
def test_both_limits_of_a_number_are_accepted_and_nothing_beyond(name: str) -> None:
    low, high = limits_of(name)
    for value in (low, high):
        assert getattr(Home.parse({**FORM, name: value}), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(InvalidInput, match=name):
            Home.parse({**FORM, name: value})


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_optional_input_is_nan_or_an_empty_text(name: str) -> None:
    feature = FEATURES[name](Home.parse(FORM))
    assert feature == "" if INPUT[name].is_text else feature != feature


def test_the_one_text_without_a_vocabulary_is_matched_with_learned_locations() -> None:
    assert [field.name for field in INPUTS if field.is_text and field.feature is None] == ["location"]
    assert Locations(["Whitefield"]).match(FEATURES["location"](Home.parse(FORM))) == "Whitefield"


def test_an_input_that_is_not_declared_is_none_of_a_bundle() -> None:
    with pytest.raises(ValueError, match="Input should be 'total_sqft'"):
        Input(name="colour", type="text")
