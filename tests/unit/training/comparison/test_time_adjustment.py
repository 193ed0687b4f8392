"""Place prices are used only where the hold-out improves."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from homeprices.data.cleaning import clean
from homeprices.data.listing_dates import LISTED_ON
from homeprices.data.moving_prices import with_dates
from homeprices.data.preparation import PreparedDataset, prepare
from homeprices.data.synthetic import make_listings
from homeprices.training.comparison.time_adjustment import QUALITY, decide


def prepared(*, moving: bool, rows: int = 8_000) -> PreparedDataset:
    return prepare(clean(with_dates(make_listings(rows, 7), 7, moving=moving)))


@pytest.fixture(scope="module")
def moved() -> PreparedDataset:
    """Listings whose prices move, after the decision."""
    return decide(prepared(moving=True), 7)


def test_models_use_place_prices_where_prices_move(moved: PreparedDataset) -> None:
    decision: dict[str, Any] = moved.quality[QUALITY]
    assert moved.time_adjusted and decision["used"]
    assert decision["form"]["high"] < 0
    assert decision["form"]["with_place_prices"] < decision["form"]["without"]
    assert decision["sentence"].startswith("Place prices are used: the median error on the newest ")
    assert moved.base is not None and decision["as_of"] == moved.base.as_of.isoformat()
    assert not moved.training["price"].equals(replace(moved, time_adjusted=False).training["price"])


def test_models_do_without_where_prices_stay_and_learn_the_listed_ones() -> None:
    steady = prepared(moving=False)
    decided = decide(steady, 7)
    assert not decided.time_adjusted and not decided.quality[QUALITY]["used"]
    pd.testing.assert_frame_equal(decided.training, steady.training)


def test_the_decision_does_not_know_the_prices_of_the_last_days_homes_in_training(moved: PreparedDataset) -> None:
    """A model that has learned from the hold-out would follow prices that are planted there."""
    plain = replace(moved, time_adjusted=False)
    rows = plain.rows.assign(price=plain.rows["price"].where(~plain.held_out, plain.rows["price"] * 9))
    planted = decide(replace(plain, rows=rows), 7).quality[QUALITY]
    assert planted["form"]["without"] > 0.8 and planted["form"]["with_place_prices"] > 0.8


def test_the_same_rows_and_seed_give_the_same_decision(moved: PreparedDataset) -> None:
    again = decide(replace(moved, time_adjusted=False), 7)
    assert again.quality[QUALITY] == moved.quality[QUALITY]


def test_undated_listings_are_left_alone() -> None:
    undated = prepare(clean(make_listings(500, 7)))
    assert decide(undated, 7) is undated and QUALITY not in undated.quality


def test_too_few_listings_are_not_compared() -> None:
    few = decide(prepared(moving=True, rows=400), 7)
    assert not few.time_adjusted and "too few" in few.quality[QUALITY]["sentence"]
    sparse = clean(with_dates(make_listings(300, 7), 7, moving=True))
    rows = sparse.rows[sparse.rows[LISTED_ON].str[5:7].isin(["01"])]
    assert decide(prepare(replace(sparse, rows=rows)), 7).base is None
