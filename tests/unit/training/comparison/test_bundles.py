"""The comparison of two bundles on the same homes."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from homeprices.data.preparation import Holdout
from homeprices.errors import InvalidInput
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.predictor import Predictor
from homeprices.training.comparison import report
from homeprices.training.comparison.bundles import BundleComparison, compare
from tests.support.bundles import make_bundle, make_place_prices, price

PLACES = ["Whitefield", "Indira Nagar", "Nowhere"]


def listings(number: int, seed: int) -> pd.DataFrame:
    """Homes at the prices of a bundle of factor 1, with 10 % noise."""
    rng = np.random.default_rng(seed)
    homes = pd.DataFrame(
        {
            "total_sqft": rng.uniform(500, 4_000, number).round(2),
            "location": rng.choice(PLACES, number),
            "bhk": rng.integers(1, 5, number).astype(float),
            "bath": 2.0,
            "balcony": np.nan,
            "area_type": "",
            "availability": "",
            "society": "",
        }
    )
    true = [price(area, place, int(bhk)) for area, place, bhk in homes[["total_sqft", "location", "bhk"]].to_numpy()]
    return homes.assign(price=np.array(true) * np.exp(rng.normal(0, 0.1, number)))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, Predictor]:
    """BO1, whose prices are right, and CO1, whose prices are 30 % too high."""
    root = tmp_path_factory.mktemp("bundles")
    first = make_bundle(root / "BO1", "BO1")
    second = make_bundle(root / "CO1", "CO1", factor=1.3)
    return Predictor(Bundle.open(first)), Predictor(Bundle.open(second))


@pytest.fixture(scope="module")
def found(models: tuple[Predictor, Predictor]) -> BundleComparison:
    """BO1 and CO1 on 400 homes that neither was trained on, and 100 that CO1 was trained on."""
    known, training = listings(100, 3), listings(500, 2)
    rows = pd.concat([listings(400, 1), known], ignore_index=True)
    spelled = known.assign(location=known["location"].str.upper(), price=1.0)
    return compare(*models, Holdout(rows), on="test homes", trained_on=[training, pd.concat([training, spelled])])


def test_homes_that_a_model_was_trained_on_are_left_out_at_any_price_and_spelling(found: BundleComparison) -> None:
    assert (found.homes, found.known) == (400, 100)


def test_the_more_accurate_model_is_named_over_all_and_in_each_segment(found: BundleComparison) -> None:
    for of_inputs in found.results:
        assert of_inputs.overall.homes == 400
        assert of_inputs.overall.second - of_inputs.overall.first == of_inputs.overall.difference > 0.15
        assert of_inputs.overall.verdict("BO1", "CO1") == "BO1 is more accurate"
        named = {segment.name: segment.paired for segment in of_inputs.segments}
        assert named["2 bhk"].verdict("BO1", "CO1") == "BO1 is more accurate"
        assert {"location listed 50 times and more", "4 bhk"} <= named.keys() and "5 bhk and more" not in named
        for by in ("price", "size", "location"):
            assert sum(each.paired.homes for each in of_inputs.segments if each.by == by) == 400
        assert of_inputs.apart == 1.0 and of_inputs.covered[0] == pytest.approx(1.0, abs=0.01)


def test_a_model_beside_itself_is_no_more_accurate(models: tuple[Predictor, Predictor]) -> None:
    same = compare(models[0], models[0], Holdout(listings(50, 4)), on="test homes", trained_on=[listings(10, 5)] * 2)
    overall = same.results[0].overall
    assert (overall.difference, overall.interval, overall.second_closer) == (0, (0, 0), 0)
    assert overall.verdict("BO1", "BO1") == "no difference is shown"


def test_a_segment_of_few_homes_has_no_interval_and_no_verdict(models: tuple[Predictor, Predictor]) -> None:
    rows = listings(40, 6)
    rows.loc[:2, "bhk"] = 6.0
    few = compare(*models, Holdout(rows), on="test homes", trained_on=[listings(10, 5)] * 2)
    [large] = [each.paired for each in few.results[0].segments if each.name == "5 bhk and more"]
    assert (large.homes, large.interval, large.verdict("BO1", "CO1")) == (3, None, "too few homes")


def test_too_few_unseen_homes_are_refused(models: tuple[Predictor, Predictor]) -> None:
    rows = listings(30, 7)
    with pytest.raises(InvalidInput, match=r"few\.csv: 9 homes are in the training rows of neither bundle"):
        compare(*models, Holdout(rows), on="few.csv", trained_on=[rows.iloc[9:], rows.iloc[9:]])


def test_homes_beyond_the_limits_of_the_service_are_not_compared(models: tuple[Predictor, Predictor]) -> None:
    rows = listings(30, 8)
    rows.loc[0, "total_sqft"] = 1e9
    assert compare(*models, Holdout(rows), on="homes", trained_on=[listings(10, 5)] * 2).homes == 29


def test_a_model_with_place_prices_is_compared_at_the_days_of_the_listings(
    models: tuple[Predictor, Predictor], tmp_path: Path
) -> None:
    """Prices have risen by half since the table of both; CO2 prices at its levels, and BO1 has none."""
    base = make_place_prices(date(2026, 1, 1))
    dated = Predictor(Bundle.open(make_bundle(tmp_path / "CO2", "CO2", place_prices=base)))
    rows = listings(200, 11).assign(time_factor=1.5)
    risen = Holdout(rows.assign(price=rows["price"] * 1.5), base)
    for described in compare(models[0], dated, risen, on="homes", trained_on=[listings(10, 5)] * 2).results:
        assert described.overall.first > 0.25 > 0.1 > described.overall.second
        assert described.covered[1] > 0.95
    undated = compare(models[0], dated, Holdout(rows), on="homes", trained_on=[listings(10, 5)] * 2)
    assert undated.results[0].overall.difference == 0


def test_text_page_and_json_have_the_same_figures(found: BundleComparison) -> None:
    text, page = report.as_text(found), report.as_page(found)
    overall = found.results[0].overall
    figures = [f"{overall.first:.1%}", f"{overall.second:.1%}", f"{100 * overall.difference:+.1f} points"]
    for written in (text, page):
        assert all(figure in written for figure in figures)
        assert "100 homes that one of them was trained on are left out" in written
        assert written.count("location listed 50 times and more") == 2
    assert BundleComparison.model_validate(json.loads(found.model_dump_json())) == found


def test_the_description_of_a_file_is_escaped_in_the_page(models: tuple[Predictor, Predictor], tmp_path: Path) -> None:
    hostile = compare(*models, Holdout(listings(30, 9)), on="<script>.csv", trained_on=[listings(10, 5)] * 2)
    assert "<script>" not in report.as_page(hostile)
