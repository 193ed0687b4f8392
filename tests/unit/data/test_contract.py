from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from homeprices.data import contract
from homeprices.data.cleaning import REASONS, Cleaned, clean
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import make_listings
from homeprices.errors import DatasetRefused


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    """Synthetic listings as they are imported."""
    return make_listings(400, seed=3)


@pytest.fixture(scope="module")
def cleaned(raw: pd.DataFrame) -> Cleaned:
    """The listings after cleaning."""
    return clean(raw)


def refused(cleaned: Cleaned) -> dict[str, str]:
    with pytest.raises(DatasetRefused) as caught:
        contract.require_training_rows(cleaned)
    return caught.value.fields


def test_synthetic_listings_keep_the_contract(raw: pd.DataFrame, cleaned: Cleaned) -> None:
    contract.require_raw(raw)
    contract.require_training_rows(cleaned)


def test_the_public_data_keeps_the_contract(real_listings: bytes) -> None:
    raw = read_listings(real_listings)
    contract.require_raw(raw)
    contract.require_training_rows(clean(raw))


def test_a_raw_table_is_text_with_numbers_where_numbers_belong(raw: pd.DataFrame) -> None:
    broken = raw.astype(object)
    broken.loc[5, "price"] = "cheap"
    broken.loc[6, "society"] = 3
    with pytest.raises(DatasetRefused) as caught:
        contract.require_raw(broken)
    assert caught.value.fields == {
        "price": "breaks the contract of raw listings (a number or nothing): line 5: 'cheap'",
        "society": "breaks the contract of raw listings (text): line 6: '3'",
    }


@pytest.mark.parametrize("change", [{"price": None}, {"rent": "12"}])
def test_a_raw_table_has_its_nine_columns_and_no_other(raw: pd.DataFrame, change: dict[str, str | None]) -> None:
    [(name, value)] = change.items()
    table = raw.drop(columns=name) if value is None else raw.assign(**{name: value})
    with pytest.raises(DatasetRefused, match=name):
        contract.require_raw(table)


# What a row must be broken by, so that cleaning would have refused it for the reason, and the contract says the same.
BREAKS: dict[str, dict[str, Any]] = {
    "no_area": {"total_sqft": -5.0},
    "no_size": {"bhk": 0.0},
    "no_location": {"location": ""},
    "no_bath": {"bath": -1.0},
    "no_price": {"price": 0.0},
    "under_300_sqft_a_bedroom": {"total_sqft": 300.0, "bhk": 4.0},
}


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_to_refuse_a_row_is_part_of_the_contract_of_clean_rows(cleaned: Cleaned, reason: str) -> None:
    rows = cleaned.rows.copy()
    for name, value in BREAKS[reason].items():
        rows.loc[rows.index[7], name] = value
    with pytest.raises(pa.errors.SchemaErrors) as caught:
        contract.CLEAN.validate(rows, lazy=True)
    assert reason in set(caught.value.failure_cases["check"])
    assert f"line {rows.index[7]}" in str(refused(replace(cleaned, rows=rows)))


def test_clean_rows_have_single_spaces_finite_numbers_and_no_row_twice(cleaned: Cleaned) -> None:
    rows = cleaned.rows.copy()
    rows.loc[rows.index[0], "location"] = "Electronic  City"
    rows.loc[rows.index[1], "price"] = np.inf
    said = refused(replace(cleaned, rows=rows))
    assert "single spaces" in said["location"] and "finite" in said["price"]
    twice = pd.concat([cleaned.rows, cleaned.rows.iloc[:1].set_axis([10**6])])
    assert "file" in refused(replace(cleaned, rows=twice))


@pytest.mark.parametrize(
    ("column", "change", "what"),
    [
        ("price", lambda text: text.map(lambda cell: str(float(cell) * 100_000)), "rupees a square foot"),
        ("total_sqft", lambda text: text.map(lambda cell: "25000"), "square feet"),
        ("area_type", lambda text: "A", "area types"),
        ("availability", lambda text: "why not", "availabilities"),
        ("location", lambda text: [str(n % 9) for n in range(len(text))], "hold a letter"),
        ("bath", lambda text: "12", "baths a bedroom"),
        ("balcony", lambda text: "40", "balconies"),
    ],
)
def test_a_column_that_means_something_else_stops_the_training_and_is_named(
    raw: pd.DataFrame, column: str, change: object, what: str
) -> None:
    said = refused(clean(raw.assign(**{column: change(raw[column])})))  # type: ignore[operator]
    assert what in said[column] and "no longer means what it did" in said[column]


def test_too_many_refused_rows_stop_the_training_with_the_counts(raw: pd.DataFrame) -> None:
    assert "no_size 400" in refused(clean(raw.assign(size="large")))["file"]


def test_no_row_is_refused_for_its_price_but_a_share_of_such_rows_refuses_the_table(raw: pd.DataFrame) -> None:
    prices = raw["price"].astype(float)
    prices.iloc[:100] /= 100
    cheap = clean(raw.assign(price=prices.astype(str)))
    assert cheap.refused == clean(raw).refused
    said = refused(cheap)["price"]
    assert "of 400 rows" in said and "Likely prices in crore" in said and "First: line 0: " in said
    prices.iloc[2:100] *= 100
    contract.require_training_rows(clean(raw.assign(price=prices.astype(str))))


def test_few_rows_say_nothing_about_what_a_column_means(raw: pd.DataFrame) -> None:
    few = clean(raw.head(20).assign(area_type="A"))
    assert contract.measure_meanings(few.rows) == []
    contract.require_training_rows(few)


def test_an_optional_column_without_a_value_keeps_its_meaning(raw: pd.DataFrame) -> None:
    contract.require_training_rows(clean(raw.assign(area_type="", availability="", balcony="", society="")))


def body(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False).encode()


def test_an_accepted_file_says_what_was_ignored_refused_unknown_and_read_in_another_way(raw: pd.DataFrame) -> None:
    table = raw.assign(id="7", url="x", price_unit="Lac")
    table.loc[2, ["total_sqft", "availability"]] = ["1,2,3", "Sold out"]
    table.loc[3, "availability"] = "Sold out"
    table.loc[4, "size"] = "9" * 5000 + " BHK"
    said = contract.accept(body(table)).report()
    assert said[:2] == ["ignored columns: id, url", "price_unit: honoured as the unit of price (Lac 400)"]
    assert "refused, no_area: 1 (line 4: '1,2,3')" in said
    assert f"refused, no_size: 1 (line 6: '{'9' * 40}')" in said
    assert "availability that is neither ready nor a date, taken as unknown: 'Sold out' 1" in said


def test_a_refused_file_names_the_columns_that_were_ignored(raw: pd.DataFrame) -> None:
    table = raw.assign(price=(raw["price"].astype(float) / 100).astype(str), quoted_in="Cr")
    with pytest.raises(DatasetRefused) as caught:
        contract.accept(body(table))
    assert caught.value.fields["ignored columns"] == "quoted_in"
    assert "Likely prices in crore" in caught.value.fields["price"]


def test_words_for_a_missing_value_are_missing_and_counted(raw: pd.DataFrame) -> None:
    words = raw.assign(society="NA", balcony="NULL", availability="#N/A", area_type=" none ")
    blank = raw.assign(society="", balcony="", availability="", area_type="")
    found, expected = contract.accept(body(words)).cleaned, contract.accept(body(blank)).cleaned
    pd.testing.assert_frame_equal(found.rows, expected.rows)
    assert found.quality()["missing"] == dict.fromkeys(
        ("area_type", "balcony", "availability", "society"), len(found.rows)
    )
