import io
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeprices.data import schema
from homeprices.data.schema import COLUMNS, read_listings, to_csv
from homeprices.errors import DatasetRefused

HEADER = ",".join(COLUMNS)
ROW = "Plot  Area,Ready To Move, Whitefield ,4 Bedroom,Soc,1200,5,3,120"


def table(*rows: str, header: str = HEADER) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def refused(body: bytes) -> dict[str, str]:
    with pytest.raises(DatasetRefused) as caught:
        read_listings(body)
    return caught.value.fields


def test_a_table_is_read_as_stripped_text_with_its_line_numbers() -> None:
    listings = read_listings(table(ROW, ",,,,,,,,"))
    assert listings.columns.tolist() == list(COLUMNS)
    assert listings.index.tolist() == [2, 3]
    assert listings.loc[2, "location"] == "Whitefield"
    assert set(listings.loc[3]) == {""}


def test_order_of_columns_other_columns_and_blank_lines_do_not_matter() -> None:
    header = "id," + ",".join(reversed(COLUMNS))
    listings = read_listings(table("1,120,3,5,1200,Soc,4 Bedroom,Whitefield,Ready,Plot", "", header=header))
    assert (listings.loc[2, "price"], listings.loc[2, "area_type"]) == ("120", "Plot")


def test_a_byte_order_mark_windows_lines_and_quoted_newlines_are_taken() -> None:
    quoted = ROW.replace("Soc", '"A, B\nC"')
    body = b"\xef\xbb\xbf" + table(quoted, ROW).replace(b"\n", b"\r\n")
    listings = read_listings(body)
    assert listings.index.tolist() == [2, 4]
    assert listings.loc[2, "society"] == "A, B\r\nC"


def test_what_is_written_is_read_back() -> None:
    listings = read_listings(table(ROW, ROW.replace("Soc", '"A, ""B"""')))
    assert read_listings(to_csv(listings)).to_numpy().tolist() == listings.to_numpy().tolist()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_missing_column_is_named_with_what_was_found(name: str) -> None:
    header = ",".join("other" if column == name else column for column in COLUMNS)
    found = header.replace(",", ", ")
    assert refused(table(ROW, header=header)) == {"file": f"line 1: has no column {name}; found {found}"}


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_read(delimiter: str) -> None:
    expected = read_listings(table(ROW, ROW))
    assert read_listings(table(ROW, ROW).replace(b",", delimiter.encode())).equals(expected)


@pytest.mark.parametrize("form", ["json", "ndjson", "parquet", "utf-16", "cr", "trailing"])
def test_the_same_table_in_another_form_is_the_same(form: str) -> None:
    expected = read_listings(table(ROW, ROW.replace(",120", ",")))
    rows = [{name: cell or None for name, cell in row.items()} for row in expected.to_dict("records")]
    rows[0] |= {"price": 120.0, "bath": 5}
    if form == "parquet":
        pd.DataFrame(rows).astype({"price": float, "bath": int}).to_parquet(target := io.BytesIO())
        body = target.getvalue()
    else:
        text = table(ROW, ROW.replace(",120", ","))
        body = {"json": json.dumps(rows).encode(), "ndjson": "\n".join(map(json.dumps, rows)).encode(),
                "utf-16": text.decode().encode("utf-16"), "cr": text.replace(b"\n", b"\r"),
                "trailing": text.replace(b"\n", b",,\n")}[form]  # fmt: skip
    assert read_listings(body).to_numpy().tolist() == expected.to_numpy().tolist()


def test_prices_that_are_no_numbers_are_shown_with_their_lines() -> None:
    bad = [ROW.replace(",120", f",{value}") for value in ("cheap", "inf", "1 Cr", "₹5", "nan")]
    assert refused(table(ROW, *bad)) == {
        "price": "expected a number or nothing; found line 3: 'cheap', line 4: 'inf', line 5: '1 Cr' and 1 more"
    }


def test_a_blank_price_is_a_matter_of_its_row_and_not_of_the_file() -> None:
    assert read_listings(table(ROW, ROW.replace(",120", ",")))["price"].tolist() == ["120", ""]


@pytest.mark.parametrize("name", ["bath", "balcony"])
def test_other_number_columns_must_hold_numbers_too(name: str) -> None:
    cells = dict(zip(COLUMNS, ROW.split(","), strict=True)) | {name: "x" * 100}
    fields = refused(table(",".join(cells.values())))
    assert fields == {name: f"expected a number or nothing; found line 2: '{'x' * 40}'"}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "is empty; expected CSV"),
        (b"  \n \n", "is empty"),
        (table(), "holds a header and no row"),
        (table(ROW + ",more"), "line 2: has 10 cells; the header has 9"),
        (table("a,b"), "line 2: has 2 cells; the header has 9"),
        (table(ROW).replace(b"Soc", b"\xff\xfe"), "line 2: is not UTF-8 after"),
        (table(ROW).decode().encode("utf-16-le"), "line 1: holds a zero byte after 'a'"),
        (table(ROW).replace(b"Soc", b"\x00"), "line 2: holds a zero byte after"),
        (table(ROW.replace("Soc", '"Soc')), "line 2: a quotation mark is not closed"),
        (table(ROW.replace("Soc", "x" * 200_000)), "line 2: a cell has more than 131,072 characters"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_the_line(body: bytes, problem: str) -> None:
    assert problem in refused(body)["file"]


def test_a_column_that_comes_twice_is_refused() -> None:
    assert refused(table(ROW + ",1", header=HEADER + ", Price")) == {
        "file": "line 1, column price: is given more than once"
    }


def test_a_file_that_is_too_large_is_refused_before_it_is_read() -> None:
    body = b"x" * (schema.MAX_BYTES + 1)
    assert refused(body) == {"file": "has 33,554,433 bytes; at most 33,554,432 are taken"}


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_and_never_break_the_reader(body: bytes) -> None:
    assert refused(body)


@given(st.lists(st.text(max_size=20), min_size=len(COLUMNS), max_size=len(COLUMNS)))
def test_any_row_under_the_right_header_is_read_or_refused(cells: list[str]) -> None:
    try:
        read_listings(table(",".join(cells)))
    except DatasetRefused as error:
        assert error.fields
