"""Place prices know what was known on their day: no later price, none of that day, and never their own."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from homeprices.data.cleaning import clean
from homeprices.data.listing_dates import LISTED_ON
from homeprices.data.moving_prices import LAST_DAY, with_dates
from homeprices.data.place_prices import (
    LEAST_LISTINGS,
    PLACE_PRIOR,
    REGION_PRIOR,
    as_frame,
    history_of,
    table_as_of,
    time_factors,
)
from homeprices.data.synthetic import make_listings
from homeprices.pricing.market import PlacePrices

DAY = date(2026, 6, 1)
PLANTED = 50.0
"""By what a planted price is too high."""


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Clean listings of three years whose prices move."""
    return clean(with_dates(make_listings(6_000, 5), 5, moving=True)).rows


def factors(rows: pd.DataFrame, base: PlacePrices) -> pd.Series:
    """The feature of each listing, by the label of its row."""
    return pd.Series(time_factors(history_of(rows), base), index=rows.index)


def table(rows: pd.DataFrame, day: date = DAY) -> PlacePrices:
    found = table_as_of(history_of(rows), day)
    assert found is not None
    return found


def planted(rows: pd.DataFrame, chosen: "pd.Series[bool]") -> pd.DataFrame:
    """The listings with impossible prices in the chosen rows."""
    assert chosen.any()
    return rows.assign(price=rows["price"].where(~chosen, rows["price"] * PLANTED))


@pytest.mark.parametrize("day", ["2024-03-01", "2025-08-17", "2026-06-01"])
def test_no_feature_knows_a_price_of_its_day_or_of_a_later_one(rows: pd.DataFrame, day: str) -> None:
    base = table(rows)
    future = rows[LISTED_ON] >= day
    before, after = factors(rows, base), factors(planted(rows, future), base)
    known = rows[LISTED_ON] <= day
    pd.testing.assert_series_equal(before[known], after[known], check_exact=True)
    # The planted prices are seen by the listings of the days that follow, so the test can fail.
    next_days = (rows[LISTED_ON] > day) & before.notna()
    assert (after[next_days] > before[next_days]).mean() > 0.9


def test_no_listing_knows_its_own_price(rows: pd.DataFrame) -> None:
    base, history = table(rows), factors(rows, table(rows))
    for line in rows.sample(12, random_state=2).index:
        own = pd.Series(rows.index == line, index=rows.index)
        assert factors(planted(rows, own), base)[[line]].equals(history[[line]]), line


def test_a_listing_of_the_same_day_and_place_is_not_known() -> None:
    rows = dated([("Whitefield", "2026-05-31", 5_000.0)] * LEAST_LISTINGS + [("Whitefield", "2026-06-01", 5_000.0)] * 2)
    base = table(rows, date(2026, 6, 2))
    last = rows.index == rows.index[-1]
    changed = planted(rows, pd.Series(last, index=rows.index))
    assert factors(changed, base)[rows.index[-2]] == factors(rows, base)[rows.index[-2]]


def test_a_table_of_any_day_is_what_was_written_on_that_day(rows: pd.DataFrame) -> None:
    for day in (date(2024, 5, 9), DAY, LAST_DAY):
        at_the_time = rows[rows[LISTED_ON] < day.isoformat()]
        assert table(rows, day) == table(at_the_time, day) == table(rows.sample(frac=1, random_state=1), day)
        assert table(planted(rows, rows[LISTED_ON] >= day.isoformat()), day) == table(rows, day)


def dated(listings: list[tuple[str, str, float]]) -> pd.DataFrame:
    """Homes of 1,000 square feet in these places, on these days, at these rupees a square foot."""
    return pd.DataFrame(
        {
            "location": [place for place, _, _ in listings],
            LISTED_ON: [day for _, day, _ in listings],
            "total_sqft": 1_000.0,
            "price": [rate / 100 for _, _, rate in listings],
        }
    )


def days_before(days: int) -> str:
    return (DAY - timedelta(days=days)).isoformat()


def test_a_level_is_the_median_of_the_90_days_before() -> None:
    recent = [("Whitefield", days_before(1 + n % 90), 6_000.0) for n in range(90)]
    assert table(dated(recent)).city.rupees_per_sqft == 6_000
    assert table(dated(recent)).city.listings == 90
    for age, counted in ((0, 90), (1, 91), (90, 91), (91, 90)):
        found = table(dated([*recent, ("Whitefield", days_before(age), 9_000.0)]))
        assert (age, found.city.listings) == (age, counted)


def test_the_city_has_no_level_without_enough_listings() -> None:
    listings = [("Whitefield", days_before(5), 6_000.0)] * (LEAST_LISTINGS - 1)
    assert table_as_of(history_of(dated(listings)), DAY) is None
    assert table(dated([*listings, ("Hebbal", days_before(5), 6_000.0)])).city.rupees_per_sqft == 6_000
    undated = factors(dated([*listings, ("Hebbal", days_before(5), 6_000.0)]), table(dated(listings * 2)))
    assert undated.isna().all()


def test_a_level_is_shrunk_to_its_region_and_the_region_to_the_city() -> None:
    """No listing has a level at its own day, so all usual distances are 0 and the figures follow by hand."""
    city = [("Hebbal", days_before(9), 4_000.0)] * 60
    east = [("Whitefield", days_before(9), 8_000.0)] * 30 + [("Varthur", days_before(9), 8_000.0)] * 1
    found = table(dated([*city, *east]))
    assert found.city.rupees_per_sqft == pytest.approx(4_000, abs=0.01)
    region = np.exp((31 * np.log(8_000) + REGION_PRIOR * np.log(4_000)) / (31 + REGION_PRIOR))
    assert found.regions["east"].rupees_per_sqft == pytest.approx(region, abs=0.01)
    for place, count in (("whitefield", 30), ("varthur", 1)):
        level = np.exp((count * np.log(8_000) + PLACE_PRIOR * np.log(region)) / (count + PLACE_PRIOR))
        assert found.places[place].rupees_per_sqft == pytest.approx(level, abs=0.01)
        assert (found.places[place].region, found.places[place].listings) == ("east", count)


def test_a_place_without_recent_listings_moves_with_its_region() -> None:
    earlier = [(place, days_before(age), rate) for age in range(400, 500) for place, rate in
               (("Whitefield", 4_000.0), ("Varthur", 8_000.0))]  # fmt: skip
    recent = [("Whitefield", days_before(age), 6_000.0) for age in range(1, 80)]
    now = table(dated([*earlier, *recent]))
    assert now.places["varthur"].listings == 0
    then = table(dated(earlier), DAY - timedelta(days=399))
    moved = now.regions["east"].rupees_per_sqft / then.regions["east"].rupees_per_sqft
    assert now.change_since(then, "VARTHUR ") == pytest.approx(moved, rel=0.05)
    assert now.places["varthur"].rupees_per_sqft > 1.2 * now.places["whitefield"].rupees_per_sqft


def test_training_and_serving_compute_one_feature_for_a_thousand_homes(rows: pd.DataFrame) -> None:
    """Training computes all listings at once; serving reads the table of a day and looks the place up."""
    monthly = rows.assign(**{LISTED_ON: rows[LISTED_ON].str.slice(0, 8) + "01"})  # many homes on few days
    base = table(monthly)
    features = factors(monthly, base)
    days = ["2023-12-01", "2024-02-01", "2024-09-01", "2025-04-01", "2026-01-01", "2026-05-01", "2026-09-01"]
    compared = 0
    for day in days:
        served = table_as_of(history_of(monthly[monthly[LISTED_ON] < day]), date.fromisoformat(day))
        of_day = (monthly[LISTED_ON] == day).to_numpy()
        for place, feature in zip(monthly["location"][of_day], features[of_day], strict=True):
            found = np.nan if served is None else served.change_since(base, f" {place.upper()} ")
            assert found == pytest.approx(feature, rel=1e-9, nan_ok=True), (day, place)
            compared += 1
    assert compared > 1_000 and len(set(features.round(6))) > 1_000


def test_the_rows_of_a_table_name_city_regions_and_places(rows: pd.DataFrame) -> None:
    found = table(rows)
    frame = as_frame(found)
    assert frame["of"].value_counts().to_dict() == {"city": 1, "region": len(found.regions), "place": len(found.places)}
    whitefield = frame[frame["name"] == "whitefield"].iloc[0]
    assert (whitefield["region"], whitefield["rupees_per_sqft"]) == ("east", found.places["whitefield"].rupees_per_sqft)


def test_a_hundred_thousand_listings_fit_into_memory_once_and_give_the_same_table_twice() -> None:
    many = clean(with_dates(make_listings(100_000, 3), 3, moving=True)).rows
    history = history_of(many)
    base = table_as_of(history, DAY)
    assert base is not None and base == table_as_of(history, DAY)
    found = time_factors(history, base)
    assert len(found) == len(many) and np.isfinite(found).mean() > 0.99
