"""Columns are read as `Home` reads rows: whatever it refuses is refused, with its reasons, and the rest is the same."""

from __future__ import annotations

import math
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeprices.batch.feature_reader import FeatureReader, Features
from homeprices.errors import InvalidInput
from homeprices.pricing.features import Locations
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Predictor
from tests.support.factories import table

LEARNED = Locations(["Whitefield", "Indira Nagar"])
TEXT = st.one_of(
    st.sampled_from(
        ["Whitefield", " whitefield ", "INDIRA  NAGAR", "", " ", "x" * 101, "a\x00b", "Plot Area", "plot  area"]
    ),
    st.text(max_size=8),
)
NUMBER = st.one_of(
    st.none(),
    st.integers(-3, 60),
    st.floats(-10, 200_000),
    st.sampled_from([math.nan, math.inf, -math.inf, 100.0, 1e5]),
)
NUMBER_TEXT = st.one_of(
    st.none(),
    st.sampled_from(
        [
            *("1200", "2", " 3 ", "", "0", "02", "2.0", "1e3", "1_000", "-1", "abc", "nan", "inf", "99", "100000"),
            *("NA", "1,200", "１２００", "111.48364999999999", "100000.00000000000001"),
        ]
    ),
    st.text(max_size=4),
)


def one_by_one(rows: list[dict[str, Any]]) -> tuple[dict[int, Home], dict[int, dict[str, str]]]:
    accepted, refused = {}, {}
    for number, row in enumerate(rows):
        try:
            given = {name: value for name, value in row.items() if value is not None}
            accepted[number] = Home.parse(given, name_values=True)
        except InvalidInput as error:
            refused[number] = dict(error.fields)
    return accepted, refused


def agree(batch: pa.RecordBatch, found: Features) -> None:
    accepted, refused = one_by_one([{k: v for k, v in row.items() if k != "id"} for row in batch.to_pylist()])
    assert found.rows.tolist() == sorted(accepted)
    assert {one.row: dict(one.reasons) for one in found.refused} == refused
    for place, row in enumerate(found.rows.tolist()):
        home = accepted[row]
        columns = {name: values[place] for name, values in found.columns.items()}
        assert columns["location"] == LEARNED.match(home.location)
        assert (columns["total_sqft"], columns["bhk"], columns["bath"]) == (home.total_sqft, home.bhk, home.bath)
        assert math.isnan(columns["balcony"]) if home.balcony is None else columns["balcony"] == home.balcony


def batch_of(columns: dict[str, tuple[list[Any], pa.DataType]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: pa.array(values, kind) for name, (values, kind) in columns.items()})


ROWS = 6


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_numbers_and_texts_are_taken_and_refused_as_row_by_row(data: st.DataObject) -> None:
    def drawn(strategy: st.SearchStrategy[Any]) -> list[Any]:
        return data.draw(st.lists(strategy, min_size=ROWS, max_size=ROWS))

    batch = batch_of(
        {
            "total_sqft": (drawn(NUMBER), pa.float64()),
            "location": (drawn(st.one_of(st.none(), TEXT)), pa.string()),
            "bhk": (drawn(NUMBER), pa.float64()),
            "bath": (drawn(st.one_of(st.none(), st.integers(-3, 60))), pa.int32()),
            "area_type": (drawn(st.one_of(st.none(), TEXT)), pa.string()),
            "balcony": (drawn(NUMBER), pa.float64()),
            "society": (drawn(st.one_of(st.none(), TEXT)), pa.string()),
        }
    )
    agree(batch, FeatureReader(LEARNED).read(batch))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_numbers_that_are_text_are_taken_and_refused_as_row_by_row(data: st.DataObject) -> None:
    columns = {
        name: (data.draw(st.lists(NUMBER_TEXT, min_size=ROWS, max_size=ROWS)), pa.string())
        for name in ("total_sqft", "bhk", "bath", "balcony")
    }
    batch = batch_of({**columns, "location": (["Whitefield"] * ROWS, pa.string())})
    agree(batch, FeatureReader(LEARNED).read(batch))


@pytest.mark.parametrize("kind", [pa.bool_(), pa.date32(), pa.list_(pa.int32())])
def test_a_column_of_another_type_refuses_its_rows_and_not_the_file(kind: pa.DataType) -> None:
    of_each: dict[pa.DataType, list[Any]] = {
        pa.bool_(): [True], pa.date32(): [20_000], pa.list_(pa.int32()): [[1, 2]]
    }  # fmt: skip
    values = of_each[kind]
    batch = batch_of(
        {
            "total_sqft": (values, kind),
            "location": (["Whitefield"], pa.string()),
            "bhk": ([2], pa.int8()),
            "bath": ([2], pa.int64()),
        }
    )
    found = FeatureReader(LEARNED).read(batch)
    assert [set(one.reasons) for one in found.refused] == [{"total_sqft"}]


def test_a_number_in_another_spelling_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, parse = FeatureReader(LEARNED), mock.Mock(side_effect=Home.parse)
    columns = {"total_sqft": ["1,200", "1200.0000001"], "location": ["Whitefield"] * 2, "bhk": ["02"] * 2,
               "bath": ["2"] * 2, "balcony": ["NA", "-"]}  # fmt: skip
    batch = batch_of({name: (cells * 50, pa.string()) for name, cells in columns.items()})
    monkeypatch.setattr(Home, "parse", parse)
    found = reader.read(batch)
    assert (len(found.rows), found.refused) == (100, [])
    assert found.columns["total_sqft"][:2].tolist() == [1200, 1200.0000001]
    assert parse.call_count < 15, "a home is parsed for each spelling, not for each row"


def test_texts_that_are_dictionaries_already_are_read_as_texts() -> None:
    plain = table(500).combine_chunks()
    encoded = plain.set_column(2, "location", plain["location"].combine_chunks().dictionary_encode())
    reader = FeatureReader(LEARNED)
    one, other = (reader.read(t.to_batches()[0]).columns["location"] for t in (plain, encoded))
    assert one.tolist() == other.tolist()


def test_a_file_of_the_four_fields_alone_has_the_rest_missing(predictor: Predictor) -> None:
    batch = table(100).select(["total_sqft", "location", "bhk", "bath"]).to_batches()[0]
    found = FeatureReader(Locations(predictor.locations)).read(batch)
    assert len(found.rows) == 100
    assert np.isnan(found.columns["balcony"]).all() and set(found.columns["society"]) == {""}


def test_estimates_are_those_of_serving(predictor: Predictor) -> None:
    batch = table(300).combine_chunks().to_batches()[0]
    found = FeatureReader(Locations(predictor.locations)).read(batch)
    columns = predictor.price_columns(found.columns)
    homes = [Home.parse({k: v for k, v in row.items() if k != "id" and v is not None}) for row in batch.to_pylist()]
    expected = [(estimate.price, estimate.low, estimate.high) for estimate in predictor.estimate(homes)]
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected


def test_spellings_are_forgotten_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeprices.batch.feature_reader.CACHED_SPELLINGS", 10)
    reader = FeatureReader(LEARNED)
    reader.read(table(1_000).combine_chunks().to_batches()[0])
    assert len(reader._spellings["society"]) <= 10
