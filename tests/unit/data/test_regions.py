"""The table of regions: every shipped place stands in it once, and any spelling finds it."""

from __future__ import annotations

import pytest

from homeprices.data.localities import LOCALITIES
from homeprices.data.regions import _PLACES, REGIONS, region_of


def test_every_shipped_place_is_in_the_table_once_and_no_other_is() -> None:
    listed = [place for places in _PLACES.values() for place in places.split(", ")]
    assert sorted(listed) == sorted(place.name for place in LOCALITIES)
    assert tuple(_PLACES) == REGIONS


@pytest.mark.parametrize(
    ("place", "region"),
    [
        ("Whitefield", "east"),
        ("  whitefield ", "east"),
        ("ELECTRONIC  CITY", "south-east"),
        ("Hebbal", "north"),
        ("Kengeri", "west"),
        ("JP Nagar", "south"),
        ("Ulsoor", "centre"),
        ("Thigalarapalya", "general"),
        ("Mars", "general"),
        ("", "general"),
    ],
)
def test_a_place_has_a_region_in_any_spelling_and_an_unknown_one_is_general(place: str, region: str) -> None:
    assert region_of(place) == region
