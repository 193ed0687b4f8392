import pandas as pd
import pytest

from homeprices.data.cleaning import CLEAN_COLUMNS, REASONS, clean, require_usable
from homeprices.data.schema import COLUMNS, read_listings
from homeprices.errors import DatasetRefused

ROW = {
    "area_type": "Super built-up  Area",
    "availability": "Ready To Move",
    "location": "Whitefield",
    "size": "2 BHK",
    "society": "Soc",
    "total_sqft": "1200",
    "bath": "2",
    "balcony": "1",
    "price": "60",
}


def raw(*changes: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame([ROW | change for change in changes], columns=list(COLUMNS))


def test_a_clean_row_has_every_column_in_its_unit() -> None:
    rows = clean(raw({"location": "  Electronic   City Phase II ", "total_sqft": "1056 - 1200"})).rows
    assert rows.columns.tolist() == list(CLEAN_COLUMNS)
    assert rows.iloc[0].tolist() == [
        1128.0, "Electronic City Phase II", 2.0, 2.0, "Super built-up Area", 1.0, "Ready To Move", "Soc", 60.0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "bhk"), [("2 BHK", 2), ("4 Bedroom", 4), ("1 RK", 1), ("3 bedrooms", 3), (" 2  bhk ", 2), ("3BHK", 3)]
)
def test_sizes_are_bedrooms_whatever_they_are_called(size: str, bhk: int) -> None:
    assert clean(raw({"size": size})).rows["bhk"].tolist() == [bhk]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"total_sqft": ""}, "no_area"),
        ({"total_sqft": "large"}, "no_area"),
        ({"size": ""}, "no_size"),
        ({"size": "0 BHK"}, "no_size"),
        ({"size": "Studio"}, "no_size"),
        ({"size": "9" * 5000 + " BHK"}, "no_size"),
        ({"total_sqft": "9" * 5000}, "no_area"),
        ({"total_sqft": "1,2,3"}, "no_area"),
        ({"location": "N/A"}, "no_location"),
        ({"bath": "none"}, "no_bath"),
        ({"location": "  "}, "no_location"),
        ({"bath": ""}, "no_bath"),
        ({"bath": "0"}, "no_bath"),
        ({"price": ""}, "no_price"),
        ({"price": "0"}, "no_price"),
        ({"price": "-5"}, "no_price"),
        ({"total_sqft": "599"}, "under_300_sqft_a_bedroom"),
    ],
)
def test_each_row_is_refused_for_its_own_reason_and_counted(change: dict[str, str], reason: str) -> None:
    cleaned = clean(raw({}, change))
    assert len(cleaned.rows) == 1
    assert cleaned.refused == {name: int(name == reason) for name in REASONS}
    assert cleaned.refused_share == 0.5


def test_just_300_square_feet_a_bedroom_are_enough() -> None:
    assert len(clean(raw({"total_sqft": "600"})).rows) == 1


def test_a_row_with_two_reasons_counts_once() -> None:
    assert sum(clean(raw({"total_sqft": "", "price": ""})).refused.values()) == 1


def test_a_price_is_never_too_high_or_too_low() -> None:
    assert clean(raw({"price": "0.01"}, {"price": "999999"})).rows["price"].tolist() == [0.01, 999_999]


def test_no_row_is_judged_by_the_others() -> None:
    changes = [{"price": str(price), "total_sqft": str(300 * price)} for price in range(1, 40)]
    together = clean(raw(*changes)).rows
    alone = pd.concat([clean(raw(change)).rows for change in changes], ignore_index=True)
    pd.testing.assert_frame_equal(together.reset_index(drop=True), alone)


def test_exact_repetitions_go_even_when_spaces_and_units_differ() -> None:
    cleaned = clean(raw({}, {"location": " Whitefield"}, {"total_sqft": "1,200 sqft"}, {"price": "61"}))
    assert (len(cleaned.rows), cleaned.duplicates, cleaned.refused_share) == (2, 2, 0.0)


def test_another_spelling_of_a_home_is_a_repetition() -> None:
    cleaned = clean(raw({"society": "St. John's"}, {"location": "WHITEFIELD", "society": "St.  John’s"}))
    assert (len(cleaned.rows), cleaned.duplicates) == (1, 1)


def test_the_first_refused_rows_are_named_with_their_line_and_the_start_of_the_cell() -> None:
    cleaned = clean(raw(*({"size": "x" * 50} for _ in range(5))).set_axis(range(2, 7)))
    assert cleaned.first_refused["no_size"] == tuple(f"line {line}: '{'x' * 40}'" for line in (2, 3, 4))


def test_unknown_area_types_are_named_with_their_rows() -> None:
    cleaned = clean(raw(*({"area_type": text} for text in ("Land", "Plot  Area", "", "NA"))))
    assert cleaned.quality()["unknown_area_type"] == {"Land": 1}
    assert "taken as missing: 'Land' 1" in " ".join(cleaned.sentences())


def test_unknown_availabilities_are_named_with_their_rows() -> None:
    cleaned = clean(
        raw({"availability": "Sold"}, {"availability": "Sold", "bath": "3"}, {"availability": "Almost_ready"})
    )
    assert cleaned.quality()["unknown_availability"] == {"Sold": 2}


def test_optional_columns_may_be_missing() -> None:
    blank = {"area_type": "", "availability": "", "society": "", "balcony": ""}
    cleaned = clean(raw(blank))
    assert cleaned.quality()["missing"] == {"area_type": 1, "balcony": 1, "availability": 1, "society": 1}
    assert cleaned.rows["balcony"].isna().tolist() == [True]


def test_the_quality_report_adds_up() -> None:
    quality = clean(raw({}, {}, {"size": ""})).quality()
    assert (quality["rows"], quality["used"], quality["duplicates"]) == (3, 1, 1)
    assert quality["refused_share"] == pytest.approx(1 / 3, abs=1e-6)


def test_a_table_of_which_too_much_is_refused_stops_with_the_reasons() -> None:
    require_usable(clean(raw({}, {"price": "61"}, {"price": "62"}, {"size": ""})))
    with pytest.raises(DatasetRefused, match=r"50% of 2 rows cannot be used \(no_size 1\); at most 30% may be"):
        require_usable(clean(raw({}, {"size": ""})))


def test_a_table_without_a_row_is_not_usable() -> None:
    with pytest.raises(DatasetRefused):
        require_usable(clean(raw()))


def test_at_most_seven_percent_of_the_public_data_are_refused(real_listings: bytes) -> None:
    cleaned = clean(read_listings(real_listings))
    assert cleaned.refused_share <= 0.07
    assert cleaned.refused["no_area"] == 0
