import pandas as pd
import pytest

from homeprices.data.cleaning import clean
from homeprices.data.preparation import SALT, PreparedDataset, prepare, split
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import make_listings


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


def test_its_reference_counts_raw_and_used_rows_and_names_the_hold_out() -> None:
    cleaned = clean(make_listings(500, seed=1))
    reference = prepare(cleaned).reference(version=2, key="data/raw/train_V2.csv", sha256="a" * 64)
    assert (reference.rows, reference.rows_used, reference.holdout) == (500, len(cleaned.rows), SALT)
