import io
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from homeprices.data.cleaning import Cleaned, clean
from homeprices.data.listing_dates import LISTED_ON
from homeprices.data.moving_prices import with_dates
from homeprices.data.preparation import (
    BY_TIME,
    SALT,
    TIME_FACTOR,
    PreparedDataset,
    home_keys,
    prepare,
    rule_of,
    split,
)
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import make_listings
from homeprices.errors import InvalidInput

DATASET: dict[str, Any] = {"version": 4, "key": "data/raw/train_V4.csv", "sha256": "a" * 64}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Clean rows of synthetic listings."""
    return clean(make_listings(4_000, seed=1)).rows


def test_about_fifteen_percent_are_held_out_and_every_row_is_on_one_side(rows: pd.DataFrame) -> None:
    training, held = split(rows)
    assert 0.12 < len(held) / len(rows) < 0.18
    assert sorted([*training.index, *held.index]) == sorted(rows.index)


def test_a_row_stays_on_its_side_when_other_rows_come_and_go(rows: pd.DataFrame) -> None:
    _, held = split(rows)
    some = rows.sample(frac=0.5, random_state=3)
    _, held_of_some = split(some)
    assert set(held_of_some.index) == set(held.index) & set(some.index)


def test_a_home_that_is_listed_twice_at_two_prices_is_on_one_side(rows: pd.DataFrame) -> None:
    training, held = split(pd.concat([rows, rows.assign(price=rows["price"] * 1.1)]))
    assert not set(training.index) & set(held.index)


def test_spelling_and_rounding_do_not_move_a_row(rows: pd.DataFrame) -> None:
    _, held = split(rows)
    other = rows.assign(location=rows["location"].str.upper(), total_sqft=rows["total_sqft"] + 1e-9)
    assert split(other)[1].index.tolist() == held.index.tolist()


def test_another_salt_is_another_split(rows: pd.DataFrame) -> None:
    assert set(split(rows)[1].index) != set(split(rows, salt="another")[1].index)


def test_no_rows_are_split_into_none_and_none(rows: pd.DataFrame) -> None:
    training, held = split(rows.iloc[:0])
    assert (len(training), len(held)) == (0, 0)


def test_the_hold_out_of_the_public_data_is_always_the_same(real_listings: bytes) -> None:
    training, held = split(clean(read_listings(real_listings)).rows)
    assert (len(training), len(held)) == (8097, 1404)


def test_a_prepared_dataset_is_the_same_after_a_round_trip_through_parquet() -> None:
    cleaned = clean(make_listings(2_000, seed=1))
    prepared = prepare(cleaned)
    stored = PreparedDataset.from_parquet(prepared.to_parquet())
    for part, expected in zip((stored.training, stored.holdout), split(cleaned.rows), strict=True):
        pd.testing.assert_frame_equal(part, expected, check_exact=True)
    assert stored.quality == cleaned.quality()


def test_a_dataset_that_an_earlier_release_has_prepared_is_divided_by_the_hash() -> None:
    prepared = prepare(clean(make_listings(500, seed=1)))
    table = pq.read_table(io.BytesIO(prepared.to_parquet()))
    metadata = {key: value for key, value in table.schema.metadata.items() if key != b"holdout"}
    body = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), body)
    assert PreparedDataset.from_parquet(body.getvalue()).rule == SALT


def test_its_reference_counts_raw_and_used_rows_and_names_the_hold_out() -> None:
    cleaned = clean(make_listings(500, seed=1))
    reference = prepare(cleaned).reference(version=2, key="data/raw/train_V2.csv", sha256="a" * 64)
    assert (reference.rows, reference.rows_used, reference.holdout) == (500, len(cleaned.rows), SALT)


@pytest.fixture(scope="module")
def dated() -> pd.DataFrame:
    """Clean rows with dates, some homes of which are listed twice."""
    return clean(with_dates(make_listings(4_000, seed=1), 1, moving=True)).rows


def test_listings_with_dates_are_divided_by_time(dated: pd.DataFrame) -> None:
    prepared = prepare(Cleaned(dated, len(dated), 0))
    first_day = prepared.rule.removeprefix(BY_TIME)
    assert prepared.rule.startswith(BY_TIME) and prepared.reference(**DATASET).holdout == prepared.rule
    assert prepared.training[LISTED_ON].max() < first_day == prepared.holdout[LISTED_ON].min()
    assert 0.12 < len(prepared.holdout) / len(dated) < 0.18
    # A home of the hold-out is in no earlier row.
    assert not set(home_keys(prepared.training)) & set(home_keys(prepared.holdout))
    left_out = len(dated) - len(prepared.rows)
    assert prepared.quality["holdout"] == {"listed_from": first_day, "earlier_listings_left_out": left_out}
    assert left_out > 0


@pytest.mark.parametrize("days", [["2026-01-01"], ["2026-01-01", "2026-01-02"]])
def test_days_that_do_not_divide_the_rows_leave_it_to_the_hash(dated: pd.DataFrame, days: list[str]) -> None:
    few = dated.assign(**{LISTED_ON: [days[n % len(days)] for n in range(len(dated))]})
    assert rule_of(few) == SALT
    training, held = split(few)
    assert len(training) + len(held) == len(few)


def test_a_rule_by_time_needs_dates(rows: pd.DataFrame) -> None:
    with pytest.raises(InvalidInput, match="no column listed_on"):
        split(rows, f"{BY_TIME}2026-01-01")


def test_a_time_adjusted_dataset_has_prices_of_one_level_and_survives_a_round_trip(dated: pd.DataFrame) -> None:
    prepared = prepare(Cleaned(dated, len(dated), 0))
    adjusted = replace(prepared, time_adjusted=True)
    stored = PreparedDataset.from_parquet(adjusted.to_parquet())
    assert (stored.rule, stored.base, stored.time_adjusted) == (prepared.rule, prepared.base, True)
    pd.testing.assert_frame_equal(stored.training, adjusted.training, check_exact=True)
    listed, training = prepared.training.loc[adjusted.training.index], adjusted.training
    pd.testing.assert_series_equal(training["price"] * listed[TIME_FACTOR], listed["price"], check_names=False)
    assert listed_levels(listed) > 1.05 > listed_levels(training) > 0.95
    assert adjusted.listed_holdout.rows["price"].equals(prepared.holdout["price"])


def listed_levels(rows: pd.DataFrame) -> float:
    """The median rate of the last year's rows as a multiple of that of the first year's."""
    rates = rows["price"] / rows["total_sqft"]
    return float(rates[rows[LISTED_ON] > "2025-11-30"].median() / rates[rows[LISTED_ON] < "2024-11-30"].median())
