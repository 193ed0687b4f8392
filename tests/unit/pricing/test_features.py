import pytest

from homeprices.pricing.features import (
    LATER,
    MISSING,
    OTHER_LOCATION,
    READY,
    Locations,
    area_type_feature,
    availability_feature,
    key_feature,
)


@pytest.mark.parametrize(
    ("text", "feature"),
    [
        ("Ready To Move", READY),
        ("Immediate Possession", READY),
        ("18-Dec", LATER),
        ("", MISSING),
        (" ", MISSING),
        (None, MISSING),
    ],
)
def test_availability_is_ready_later_or_missing(text: str | None, feature: str) -> None:
    assert availability_feature(text) == feature


@pytest.mark.parametrize(
    ("text", "feature"), [("Super built-up  Area", "Super built-up Area"), ("Tent", MISSING), (None, MISSING)]
)
def test_an_unknown_area_type_counts_as_missing(text: str | None, feature: str) -> None:
    assert area_type_feature(text) == feature


def test_a_society_is_the_same_in_any_capitals() -> None:
    assert key_feature(" Prestige  PARK") == key_feature("prestige park") != key_feature(None) == MISSING


def test_a_location_is_found_in_any_spelling_and_else_is_other() -> None:
    locations = Locations(["Whitefield", "HSR Layout"])
    assert locations.names == ("HSR Layout", "Whitefield")
    assert [locations.match(text) for text in (" hsr  layout", "WHITEFIELD", "Mars")] == [
        "HSR Layout",
        "Whitefield",
        OTHER_LOCATION,
    ]
    assert " hsr layout" in locations
    assert "Mars" not in locations
