import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeprices.errors import InvalidInput
from homeprices.pricing.features import AREA_TYPES, choice_of, key_of, tidy
from homeprices.pricing.home import Home

FORM = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}


def refused(**changes: object) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        Home.parse(FORM | changes)
    return caught.value.fields


def test_the_four_fields_of_the_form_are_enough() -> None:
    home = Home.parse(FORM)
    assert (home.total_sqft, home.location, home.bhk, home.bath) == (1200.0, "Whitefield", 2, 2)
    assert (home.area_type, home.balcony, home.availability, home.society) == (None, None, None, None)


def test_text_from_a_form_is_taken_with_its_stray_spaces() -> None:
    values = {"total_sqft": " 1200.5 ", "location": "  HSR   Layout ", "bhk": "3", "bath": " 2", "balcony": " 1 "}
    home = Home.parse(values)
    assert (home.total_sqft, home.location, home.bhk, home.balcony) == (1200.5, "HSR Layout", 3, 1)


@pytest.mark.parametrize("name", ["area_type", "balcony", "availability", "society"])
def test_a_blank_optional_field_is_missing(name: str) -> None:
    assert getattr(Home.parse(FORM | {name: "  "}), name) is None


@pytest.mark.parametrize("spelling", ["Plot  Area", "plot area", " PLOT AREA "])
def test_an_area_type_is_known_in_any_spelling(spelling: str) -> None:
    assert Home.parse(FORM | {"area_type": spelling}).area_type == "Plot Area"


def test_every_field_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        Home.parse({})
    assert caught.value.fields == dict.fromkeys(("total_sqft", "location", "bhk", "bath"), "is required")


@pytest.mark.parametrize("value", [99.9, 100_001, "many", math.nan, math.inf, -5, [], {}])
def test_an_area_outside_its_range_is_refused_with_the_range_and_the_unit(value: object) -> None:
    assert refused(total_sqft=value) == {"total_sqft": "must be a number from 100 to 100,000 square feet"}


@pytest.mark.parametrize("name", ["bhk", "bath"])
@pytest.mark.parametrize("value", [0, 51, 2.5, "two"])
def test_rooms_outside_their_range_are_refused_with_the_range(name: str, value: object) -> None:
    assert refused(**{name: value}) == {name: "must be a whole number from 1 to 50"}


def test_true_is_no_number_of_rooms() -> None:
    assert refused(bath=True) == {"bath": "must be a number, not true or false"}


def test_an_unknown_area_type_is_refused_with_the_known_ones() -> None:
    assert refused(area_type="Villa") == {"area_type": f"must be one of {', '.join(AREA_TYPES)}"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Villa", "“Villa”"), (7, "“7”"), (7.0, "“7”"), (1e300, "“1e+300”"), (False, "“false”"),
        (["x"] * 9, "a list"), ({"a": 1}, "an object"), (10**40, f"“1{'0' * 38}…”"), (10**39, f"“1{'0' * 39}”"),
        ("x" * 90, f"“{'x' * 39}…”"), ("a\x1b[1mb", r"“a\x1b[1mb”"),
        pytest.param(10**5000, f"“1{'0' * 38}…”", id="digits"), (-math.inf, "“-inf”"),
    ],
)  # fmt: skip
def test_a_sender_of_many_homes_is_told_the_value(value: object, shown: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Home.parse(FORM | {"area_type": value, "bhk": None}, name_values=True)
    assert caught.value.fields.pop("bhk") == "is required"
    [[name, sentence]] = caught.value.fields.items()
    assert (name, sentence.rpartition("; it is ")[2]) == ("area_type", shown)


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "a\ud800"])
def test_characters_that_a_database_cannot_keep_are_refused(text: str) -> None:
    assert refused(location=text, society=text) == dict.fromkeys(
        ("location", "society"), "must not hold control characters"
    )


@pytest.mark.parametrize("missing", ["", "   ", None, "NA", "n/a", "—", "#N/A"])
def test_a_required_field_without_a_value_has_one_sentence(missing: object) -> None:
    required = ("total_sqft", "location", "bhk", "bath")
    assert refused(**dict.fromkeys(required, missing)) == dict.fromkeys(required, "is required")


@pytest.mark.parametrize("location", ["x" * 101, 5])
def test_a_location_is_text_of_a_bounded_length(location: object) -> None:
    assert refused(location=location) == {"location": "must be text of 1 to 100 characters"}


def test_a_field_that_is_none_is_refused_by_its_name() -> None:
    assert refused(price=80)["price"].startswith("is not a field; known are total_sqft, location")


def test_all_wrong_fields_are_named_at_once() -> None:
    assert set(refused(total_sqft="x", bhk=0, colour="red")) == {"total_sqft", "bhk", "colour"}


@given(
    st.dictionaries(
        st.sampled_from([*FORM, "area_type", "balcony", "society", "x"]),
        st.none() | st.text() | st.integers() | st.floats(),
    )
)
def test_anything_is_either_a_home_or_refused(values: dict[str, object]) -> None:
    try:
        home = Home.parse(values)
    except InvalidInput as error:
        assert error.fields
    else:
        assert Home.parse(home.model_dump()) == home


@given(st.text())
def test_spelling_keys_ignore_capitals_and_spaces(text: str) -> None:
    assert key_of(f"  {tidy(text)} ") == key_of(text)
    assert choice_of(f" {text} ", AREA_TYPES) == choice_of(text, AREA_TYPES)
