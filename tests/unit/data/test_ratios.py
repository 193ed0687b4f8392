import pandas as pd
import pytest

from homeprices.data.cleaning import clean
from homeprices.data.ratios import MAX_SHARE, RATIOS, measure_ratios
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import make_listings

SHARE = 0.2


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Clean listings, a fifth of which each test writes in another unit."""
    return clean(make_listings(1_000, seed=3)).rows


def some(rows: pd.DataFrame) -> pd.Series:
    return rows.index.isin(rows.sample(frac=SHARE, random_state=1).index)


def scaled(name: str, factor: float):
    return lambda rows: rows.assign(**{name: rows[name].where(~some(rows), rows[name] * factor)})


def exchanged(one: str, other: str):
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        chosen = some(rows)
        return rows.assign(**{a: rows[a].where(~chosen, rows[b]) for a, b in ((one, other), (other, one))})

    return change


@pytest.mark.parametrize(
    ("change", "cause", "columns"),
    [
        (scaled("price", 0.01), "prices in crore", {"price"}),
        (scaled("price", 100_000), "prices in rupees", {"price"}),
        (scaled("price", 100), "thousand rupees", {"price"}),
        (scaled("total_sqft", 1 / 10.764), "square metres or square yards", {"total_sqft"}),
        (scaled("total_sqft", 1 / 9), "square metres or square yards", {"total_sqft"}),
        (exchanged("price", "total_sqft"), "price and total_sqft exchanged", {"price", "total_sqft"}),
        (exchanged("price", "bath"), "price and bath exchanged", {"price", "bath"}),
        (exchanged("price", "balcony"), "price and balcony exchanged", {"price"}),
        (exchanged("total_sqft", "bath"), "total_sqft and bath exchanged", {"price", "total_sqft", "bath"}),
    ],
)
def test_a_fifth_of_the_rows_in_another_unit_is_too_many_and_the_cause_is_named(
    rows: pd.DataFrame, change, cause: str, columns: set[str]
) -> None:
    found = [one for one in measure_ratios(change(rows)) if one.too_many]
    assert columns <= {one.ratio.column for one in found}
    assert all(cause in one.sentence() for one in found)


def test_the_sentence_says_share_limits_and_the_first_rows(rows: pd.DataFrame) -> None:
    wrong = rows.set_axis(range(2, len(rows) + 2)).copy()
    wrong.loc[[2, 3, 4, 5], "price"] = [1e7, 2e7, 3e7, 4e7]
    wrong.loc[[2, 3, 4, 5], "total_sqft"] = 1_050.5
    [found] = [one for one in measure_ratios(wrong.head(200)) if one.ratio.column == "price"]
    assert found.sentence() == (
        "2.00% of 200 rows (4) have under 500 or over 100,000 rupees a square foot; at most 1% may. Likely prices in "
        "rupees, not in lakh rupees. First: line 2: 10,000,000 lakh for 1,050.5 square feet; line 3: 20,000,000 lakh "
        "for 1,050.5 square feet; line 4: 30,000,000 lakh for 1,050.5 square feet and 1 more"
    )


def test_single_errors_are_reported_and_not_too_many(rows: pd.DataFrame) -> None:
    wrong = rows.head(50).copy()
    wrong.iloc[:2, wrong.columns.get_loc("price")] = 1e7
    [found] = [one for one in measure_ratios(wrong) if one.ratio.column == "price"]
    assert (found.rows, found.judged, found.too_many) == (2, 50, False)
    assert "Likely" not in found.sentence()


def test_rows_without_a_value_are_not_judged(rows: pd.DataFrame) -> None:
    assert measure_ratios(rows.assign(price=float("nan"), total_sqft=float("nan"), bath=float("nan"))) == ()
    assert measure_ratios(rows.iloc[:0]) == ()


def test_the_public_listings_lie_far_below_the_limit(real_listings: bytes) -> None:
    shares = {one.ratio.column: one.share for one in clean(read_listings(real_listings)).outside}
    assert set(shares) <= {ratio.column for ratio in RATIOS}
    assert 0.001 < max(shares.values()) < MAX_SHARE / 2
