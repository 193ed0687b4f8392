"""The market of a bundle: what it may hold, the typical home of a place, and the listings most like a home."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from homeprices.errors import BundleRefused
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.home import Home
from homeprices.pricing.market import MARKET_FILE, Market
from homeprices.pricing.predictor import Predictor
from tests.support.bundles import make_bundle, make_market

HOME = Home(total_sqft=1250, location="Whitefield", bhk=2, bath=2)
MARKET = make_market()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published bundle with a market."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "BO1", "BO1", market=MARKET)


def test_a_bundle_has_its_market_and_the_typical_home_of_each_place(folder: Path) -> None:
    model = Predictor(Bundle.open(folder))
    assert "market" not in vars(model), "it is not read before an explanation needs it"
    assert model.market == MARKET
    assert model.typical_home("Whitefield") == MARKET.places["Whitefield"].typical
    for unknown in ("Atlantis", None):
        assert model.typical_home(unknown) == MARKET.city.typical


def test_an_altered_market_rejects_the_bundle(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "BO1", "BO1", market=MARKET)
    (folder / MARKET_FILE).write_text(make_market(factor=2).model_dump_json())
    with pytest.raises(BundleRefused, match=r"market\.json has"):
        Bundle.open(folder)


def test_a_market_that_the_manifest_does_not_list_is_not_read(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "BO1", "BO1")
    (folder / MARKET_FILE).write_text(MARKET.model_dump_json())
    assert Bundle.open(folder).market() is None


def test_comparables_are_the_most_alike_of_the_place_first(folder: Path) -> None:
    found = MARKET.comparables(HOME, "Whitefield", 5)
    assert [(one.place, one.area, one.second) for one in found] == [
        ("Whitefield", area, 2) for area in (1200, 1350, 1100, 900)
    ] + [("Whitefield", 1600, 3)]
    assert found[0].alike == pytest.approx((1200 / 1250 + 1 + 1) / 3)
    assert found[4].alike == pytest.approx((1250 / 1600 + 2 / 3 + 2 / 3) / 3)
    assert found[0].rupees_per_sqft == MARKET.places["Whitefield"].rupees_per_sqft


def test_an_unknown_place_is_compared_with_the_whole_city() -> None:
    found = MARKET.comparables(HOME.model_copy(update={"total_sqft": 1200.0}), None, 4)
    assert {one.place for one in found} == set(MARKET.places) and {one.alike for one in found} == {1.0}
    assert MARKET.comparables(HOME, "Atlantis", 5) == []


@given(
    st.builds(
        Home,
        total_sqft=st.floats(100, 100_000),
        location=st.just("Whitefield"),
        bhk=st.integers(1, 50),
        bath=st.integers(1, 50),
        balcony=st.none() | st.integers(0, 50),
    ),
    st.sampled_from([*MARKET.places, None]),
    st.integers(1, 40),
)
@settings(deadline=None)
def test_any_home_has_comparables_in_the_order_of_likeness(home: Home, place: str | None, count: int) -> None:
    found = MARKET.comparables(home, place, count)
    assert len(found) == min(count, 7 if place else 7 * len(MARKET.places))
    assert [one.alike for one in found] == sorted((one.alike for one in found), reverse=True)
    assert all(0 < one.alike <= 1 for one in found)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rupees_per_sqft": [1.0]}, "different lengths"),
        ({"places": ["Whitefield"]}, "no name"),
        ({"numbers": {}}, "different lengths|no area"),
        ({"places": ["x" * 101]}, "at most 100 characters"),
    ],
)
def test_a_market_that_contradicts_itself_is_rejected(change: dict[str, Any], reason: str) -> None:
    document = json.loads(MARKET.model_dump_json())
    document["listings"] |= change
    with pytest.raises(ValidationError, match=reason):
        Market.model_validate(document)


def test_a_home_without_balconies_resembles_one_without() -> None:
    document = json.loads(MARKET.model_dump_json())
    document["listings"]["numbers"]["balcony"] = [float(row % 2) for row in range(28)]
    found = Market.model_validate(document).comparables(HOME.model_copy(update={"balcony": 0}), "Whitefield", 7)
    assert len(found) == 7 and found[0].alike > found[-1].alike
