from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from homeprices.data.cleaning import clean
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import make_listings
from homeprices.tables.cells import number
from homeprices.tables.ratios import OF_HOMES, OF_LISTINGS, RATIOS, Limit, Outside, RatioCounts, refusals
from homeprices.tables.ratios import measure_ratios as measure
from homeprices.tables.units import bedrooms, parse_area

SHARE = 0.2
HOME = ["total_sqft", "bhk", "bath"]
Change = Callable[[pd.DataFrame], pd.DataFrame]


def measure_ratios(rows: pd.DataFrame, limit: Limit = OF_LISTINGS) -> tuple[Outside, ...]:
    numbers = rows.select_dtypes("number")
    return measure({str(name): numbers[name].to_numpy(float) for name in numbers}, [*rows.index], limit)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Clean listings, a fifth of which each test writes in another unit."""
    return clean(make_listings(1_000, seed=3)).rows


def some(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    return rows.index.isin(rows.sample(frac=SHARE, random_state=1).index)


def scaled(name: str, factor: float) -> Change:
    return lambda rows: rows.assign(**{name: rows[name].where(~some(rows), rows[name] * factor)})


def exchanged(one: str, other: str) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        chosen = some(rows)
        return rows.assign(**{a: rows[a].where(~chosen, rows[b]) for a, b in ((one, other), (other, one))})

    return change


@pytest.mark.parametrize("share", [SHARE, 1])
@pytest.mark.parametrize(
    ("change", "cause", "columns"),
    [
        (scaled("total_sqft", 1 / 10.764), "square metres or square yards", {"total_sqft"}),
        (scaled("total_sqft", 1 / 9), "square metres or square yards", {"total_sqft"}),
        (exchanged("total_sqft", "bath"), "total_sqft and bath exchanged", {"total_sqft", "bath"}),
        (exchanged("total_sqft", "bhk"), "total_sqft and bhk exchanged", {"total_sqft", "bath"}),
    ],
)
def test_homes_without_a_price_are_judged_by_area_and_baths_a_bedroom(
    rows: pd.DataFrame, share: float, change: Change, cause: str, columns: set[str]
) -> None:
    """In blocks, as a batch job reads them."""
    homes = change(rows[HOME])
    homes = homes[some(rows)] if share == 1 else homes
    counts = RatioCounts(OF_HOMES)
    for start in range(0, len(homes), 100):
        block = homes.iloc[start : start + 100]
        counts.add({name: block[name].to_numpy(float) for name in HOME}, [*range(start + 2, start + 2 + len(block))])
    found = refusals(counts.outside())
    assert {*found} == columns
    assert all("Likely" in said and cause in said for said in found.values())
    assert found == refusals(measure_ratios(homes.set_axis(range(2, 2 + len(homes))), OF_HOMES))


def test_a_few_homes_are_not_judged_as_a_table() -> None:
    """Of homes to price: each is answered by itself."""
    metres = {"total_sqft": np.full(29, 110.0), "bhk": np.full(29, 2.0), "bath": np.full(29, 2.0)}
    [found] = measure(metres, range(29), OF_HOMES)
    assert (found.share, found.too_many) == (1, False)
    assert found.sentence() == (
        "100.00% of 29 rows (29) have under 100 or over 10,000 square feet a bedroom. First: line 0: 110 square feet "
        "with 2 bedrooms; line 1: 110 square feet with 2 bedrooms; line 2: 110 square feet with 2 bedrooms and 26 more"
    )
    assert refusals(measure({name: np.append(cells, cells[0]) for name, cells in metres.items()}, range(30), OF_HOMES))


def test_homes_that_nobody_has_built_are_no_table_in_another_unit() -> None:
    """Made at random, as a person tries the service: what is outside is said, and no cause explains enough of it."""
    chance = np.random.default_rng(1)
    for areas in ((300, 5_000), (200, 2_000), (100, 100_000)):
        made: dict[str, Any] = {
            "total_sqft": chance.uniform(*areas, 1_000),
            "bhk": chance.integers(1, 6, 1_000) * 1.0,
        }
        made["bath"] = chance.integers(1, 6, 1_000) * 1.0
        found = measure(made, range(1_000), OF_HOMES)
        assert {one.ratio.column for one in found} == {"total_sqft", "bath"}
        assert refusals(found) == {}


def test_what_is_missing_is_not_judged_by_blocks_either() -> None:
    counts = RatioCounts(OF_LISTINGS)
    counts.add({"price": np.array([1e9]), "location": np.array([1.0])}, [2])
    counts.add({"total_sqft": np.array([np.nan]), "bhk": np.array([2.0]), "bath": np.array([np.nan])}, [3])
    assert counts.outside() == ()


@pytest.mark.parametrize("size", [30, 100, 300, 1_000])
def test_a_few_of_the_public_listings_are_hardly_ever_refused(real_listings: bytes, size: int) -> None:
    """Draws of the public listings are not refused for what single errors make of a few rows."""
    raw, chance = read_listings(real_listings), np.random.default_rng(3)
    parsed = (raw["total_sqft"].map(parse_area), raw["size"].map(bedrooms), raw["bath"].map(number))
    rows = pd.DataFrame(dict(zip(HOME, parsed, strict=True)), dtype=float)
    refused = [bool(refusals(measure_ratios(rows.sample(size, random_state=chance)))) for _ in range(300)]
    assert sum(refused) <= 2


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
    rows: pd.DataFrame, change: Change, cause: str, columns: set[str]
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
        "2.00% of 200 rows (4) have under 500 or over 100,000 rupees a square foot, too many for single errors. Likely "
        "prices in rupees, not in lakh rupees. First: line 2: 10,000,000 lakh for 1,050.5 square feet; line 3: "
        "20,000,000 lakh for 1,050.5 square feet; line 4: 30,000,000 lakh for 1,050.5 square feet and 1 more"
    )


def test_single_errors_are_reported_and_not_too_many(rows: pd.DataFrame) -> None:
    wrong = rows.head(50).copy()
    wrong.loc[wrong.index[:2], "price"] = 1e7
    [found] = [one for one in measure_ratios(wrong) if one.ratio.column == "price"]
    assert (found.rows, found.judged, found.too_many) == (2, 50, False)
    assert "Likely" not in found.sentence()


def test_rows_without_a_value_are_not_judged(rows: pd.DataFrame) -> None:
    assert measure_ratios(rows.assign(price=float("nan"), total_sqft=float("nan"), bath=float("nan"))) == ()
    assert measure_ratios(rows.iloc[:0]) == ()


def test_the_public_listings_lie_far_below_the_limit(real_listings: bytes) -> None:
    shares = {one.ratio.column: one.share for one in clean(read_listings(real_listings)).outside}
    assert set(shares) <= {ratio.column for ratio in RATIOS}
    assert 0.001 < max(shares.values()) < OF_LISTINGS.share / 2
