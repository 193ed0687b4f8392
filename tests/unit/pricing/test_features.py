import pytest
from hypothesis import given
from hypothesis import strategies as st

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


NAMES = [
    "Indira Nagar",
    "JP Nagar",
    "Whitefield",
    "Hebbal",
    "Hebbala",
    "1st Phase JP Nagar",
    "2nd Phase JP Nagar",
    "BTM",
]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("indiranagar", "Indira Nagar"),
        ("j.p. nagar", "JP Nagar"),
        ("white field", "Whitefield"),
        ("whitefeild", "Whitefield"),  # two letters exchanged
        ("whitefild", "Whitefield"),  # one missing
        ("whitefielld", "Whitefield"),  # one too many
        ("whitafield", "Whitefield"),  # one wrong
        ("hitefield", "Whitefield"),
        ("whitefiel", "Whitefield"),
        ("ndira nagar", "Indira Nagar"),
        ("hebbal", "Hebbal"),  # as it is listed, although another one is near
        ("hebbel", "Hebbal"),
        ("whitfeild", None),  # two slips
        ("btn", None),  # too short to be a slip
        ("b.t.m.", "BTM"),
        ("atlantis", None),
        ("", None),
        ("...", None),
        ("other", None),
    ],
)
def test_the_place_that_a_visitor_may_have_meant(text: str, meant: str | None) -> None:
    assert Locations([*NAMES, "other"]).nearest(text) == meant


def test_between_two_places_that_are_equally_near_there_is_no_guess() -> None:
    locations = Locations(["Hosa Road", "Hosur Road", "Rose Garden", "Rosé-Garden", "Nagar A", "Nagar B"])
    assert locations.nearest("hosu road") is None
    assert locations.nearest("hosuur road") == "Hosur Road"
    assert locations.nearest("nagar c") is None
    assert Locations(["Rose Garden", "Rose-Garden"]).nearest("rosegarden") is None


@given(st.sampled_from(["Whitefield", "Raja Rajeshwari Nagar", "Kanakpura Road"]), st.data())
def test_any_one_slip_of_the_pen_finds_its_place(name: str, data: st.DataObject) -> None:
    letters = name.lower().replace(" ", "")
    at = data.draw(st.integers(0, len(letters) - 2))
    other = data.draw(st.sampled_from("abcxyz"))
    slips = [
        letters[:at] + letters[at + 1 :],
        letters[:at] + other + letters[at:],
        letters[:at] + other + letters[at + 1 :],
        letters[:at] + letters[at + 1] + letters[at] + letters[at + 2 :],
    ]
    locations = Locations(["Whitefield", "Raja Rajeshwari Nagar", "Kanakpura Road", "Hebbal"])
    assert {locations.nearest(slip) for slip in slips} == {name}
