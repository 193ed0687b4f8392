import pandas as pd
import pytest

from homeprices.data.columns import unit_columns
from homeprices.data.schema import COLUMNS, read_file
from homeprices.errors import DatasetRefused
from homeprices.tables.csv_rows import name_of

ROW = dict(zip(COLUMNS, ("Plot Area", "Ready", "Hebbal", "2 BHK", "", "1200", "2", "1", "60"), strict=True))


def file(*changes: dict[str, str]) -> bytes:
    return pd.DataFrame([ROW | change for change in changes]).to_csv(index=False).encode()


def cells(name: str, *written: str) -> list[str]:
    return read_file(file(*({name: cell} for cell in written))).table[name].tolist()


def refused(*changes: dict[str, str]) -> dict[str, str]:
    with pytest.raises(DatasetRefused) as caught:
        read_file(file(*changes))
    return caught.value.fields


def test_a_decimal_comma_of_the_whole_column_is_read_and_said() -> None:
    listings = read_file(file({"total_sqft": "1050,5"}, {"total_sqft": "34,46Sq. Meter"}, {"total_sqft": "1780"}))
    assert listings.table["total_sqft"].tolist() == ["1050.5", "34.46sq. meter", "1780"]
    assert listings.notes == (
        "total_sqft: a decimal comma in 2 cells, read as one; first line 2: '1050,5', line 3: '34,46Sq. Meter'",
    )
    assert cells("price", "95,5", "1.095,25", "100") == ["95.5", "1095.25", "100"]
    assert cells("total_sqft", "1050,5 - 1200,5") == ["1050.5 - 1200.5"]


@pytest.mark.parametrize("name", ["total_sqft", "price"])
def test_two_forms_in_one_column_are_refused_with_the_rows_of_each(name: str) -> None:
    said = refused({name: "1050,5"}, {name: "1,200"}, {name: "95.5"})
    assert said == {
        name: "a decimal comma in 1 cells (line 2: '1050,5'), but a point or a comma between thousands in others "
        "(line 3: '1,200', line 4: '95.5'); expected one form in the whole column"
    }


def test_a_single_area_in_another_form_is_a_matter_of_its_row() -> None:
    changes = [{"total_sqft": "1,200"}] * 150 + [{"total_sqft": "1050,5"}]
    assert read_file(file(*changes)).table["total_sqft"].tolist()[-1] == "1050,5"


def test_a_comma_between_thousands_stays() -> None:
    assert cells("price", "36,50,000", "1,200") == ["36,50,000", "1,200"]
    assert "line 2: '1,2,3'" in refused({"price": "1,2,3"})["price"]


def test_a_column_of_price_units_is_honoured_exactly() -> None:
    listings = read_file(file(
        {"price": "1.1", "price_unit": "Cr"}, {"price": "60", "price_unit": "Lac"}, {"price": "60", "price_unit": ""},
        {"price": "6000", "price_unit": "K"}, {"price": "36,50,000", "price_unit": "Rs."},
        {"price": "", "price_unit": "Cr"},
    ))  # fmt: skip
    assert listings.table["price"].tolist() == ["110", "60", "60", "60", "36.5", ""]
    assert listings.notes == ("price_unit: honoured as the unit of price (Cr 2, Lac 1, no unit 1, K 1, Rs. 1)",)
    assert listings.ignored == ()


def test_a_column_of_area_units_is_honoured_where_the_cell_has_none() -> None:
    listings = read_file(file(
        {"total_sqft": "100", "Area Unit": "sq. m"}, {"total_sqft": "2Acres", "Area Unit": "sq. m"},
        {"total_sqft": "90 - 110", "Area Unit": "gaj"}, {"total_sqft": "1200", "Area Unit": "-"},
    ))  # fmt: skip
    assert listings.table["total_sqft"].tolist() == ["100 sq. m", "2Acres", "90 - 110 gaj", "1200"]


def test_an_unknown_unit_is_refused_with_its_lines() -> None:
    said = refused({"price_unit": "Cr"}, {"price_unit": "USD"})
    assert "line 3: 'USD'" in said["price_unit"] and "expected a unit (lakh" in said["price_unit"]


def test_columns_of_units_are_found_in_any_spelling() -> None:
    header = [name_of(name) for name in ("price", "PRICE UNIT", "price_in", "Area-Unit", "unit", "Price_Currency")]
    assert unit_columns(header) == {"price": "price_unit", "total_sqft": "area_unit"}


def test_columns_without_a_meaning_are_named_and_empty_ones_are_not() -> None:
    body = file({"id": "1", "rera": "x"}).replace(b"\n", b",\n")
    assert read_file(body).ignored == ("id", "rera")
