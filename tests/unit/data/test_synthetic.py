import pandas as pd
import pytest

from homeprices.data.cleaning import clean
from homeprices.data.localities import LOCALITIES
from homeprices.data.schema import COLUMNS, read_listings, to_csv
from homeprices.data.synthetic import DEFAULT_ROWS, make_listings

UNITS = ("Sq. Meter", "Sq. Yards", "Acres", "Cents", "Guntha", "Perch", "Grounds")


@pytest.fixture(scope="module")
def listings() -> pd.DataFrame:
    """Synthetic listings."""
    return make_listings()


def test_the_same_seed_gives_the_same_file_and_another_seed_another() -> None:
    assert to_csv(make_listings(500, 3)) == to_csv(make_listings(500, 3)) != to_csv(make_listings(500, 4))


def test_it_is_a_table_that_the_import_takes(listings: pd.DataFrame) -> None:
    table = read_listings(to_csv(listings))
    assert (len(table), table.columns.tolist()) == (DEFAULT_ROWS, list(COLUMNS))


@pytest.mark.parametrize("rows", [1, 2, 37])
def test_any_number_of_rows_can_be_made(rows: int) -> None:
    assert len(make_listings(rows, 5)) == rows


def test_it_has_the_dirt_of_the_public_data(listings: pd.DataFrame) -> None:
    area = listings["total_sqft"]
    assert area.str.contains(" - ").mean() == pytest.approx(0.016, abs=0.005)
    assert all(area.str.endswith(unit).any() for unit in UNITS)
    assert (listings["location"] != listings["location"].str.strip()).mean() == pytest.approx(0.01, abs=0.004)
    assert listings.duplicated().mean() == pytest.approx(0.037, abs=0.01)
    for name, share in (("balcony", 0.047), ("bath", 0.006), ("society", 0.4)):
        assert (listings[name] == "").mean() == pytest.approx(share, rel=0.35)


def test_about_as_much_of_it_is_refused_as_of_the_public_data(listings: pd.DataFrame) -> None:
    cleaned = clean(listings)
    assert 0.04 < cleaned.refused_share < 0.07
    assert cleaned.refused["under_300_sqft_a_bedroom"] > 0.8 * sum(cleaned.refused.values())


def test_its_prices_and_areas_lie_where_those_of_the_public_data_do(listings: pd.DataFrame) -> None:
    rows = clean(listings).rows
    assert rows["price"].quantile([0.1, 0.5, 0.9]).tolist() == pytest.approx([38, 70, 222], rel=0.25)
    assert rows["total_sqft"].quantile([0.1, 0.5, 0.9]).tolist() == pytest.approx([940, 1303, 2500], rel=0.25)
    assert rows["location"].nunique() > 500
    assert rows["society"].nunique() > 1_000


def test_there_are_more_than_two_hundred_localities_each_once_with_a_level() -> None:
    assert len(LOCALITIES) > 200
    assert len({place.name for place in LOCALITIES}) == len(LOCALITIES)
    assert all(2_000 <= place.rate <= 25_000 and place.weight > 0 for place in LOCALITIES)
