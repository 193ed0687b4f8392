"""Whole columns checked and turned into features: the rules of `Home`, at the speed of arrays.

A row that is plainly right is taken by array operations. Every other row goes through `Home.parse` itself, which says
why it is refused or takes it after all, so that the two ways can never differ in what they accept. A text is judged by
`Home` once for each spelling, not once a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from homeprices.errors import InvalidInput
from homeprices.pricing.features import Locations
from homeprices.pricing.home import FEATURES, Home
from homeprices.pricing.inputs import INPUT, INPUTS, LOCATION, OPTIONAL, REQUIRED, TEXTS, WHOLE_NUMBERS, limits_of

SPELLINGS_REMEMBERED = 100_000
"""Of each column; past it, they are judged anew."""

_PLAIN_NUMBER, _PLAIN_WHOLE = r"^[1-9][0-9]{0,6}(\.[0-9]{1,6})?$", r"^(0|[1-9][0-9]?)$"
_ANY_HOME = {field.name: field.example for field in INPUTS if field.required}

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Refused:
    """A row without an estimate: its number in the batch, what it holds, and what is wrong, a sentence a field."""

    row: int
    values: dict[str, Any]
    reasons: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Features:
    """Of the accepted rows: their numbers in the batch, and an array for each feature."""

    rows: npt.NDArray[np.int64]
    columns: dict[str, npt.NDArray[Any]]
    refused: list[Refused]


class FeatureReader:
    """Reads features from record batches, remembering how each text is spelled."""

    def __init__(self, locations: Locations) -> None:
        self._features: dict[str, Callable[[Home], Any]] = {
            **FEATURES,
            LOCATION: lambda home: locations.match(home.location),
        }
        self._spellings: dict[str, dict[str, str | None]] = {name: {} for name in TEXTS}

    def read(self, batch: pa.RecordBatch) -> Features:
        """The features of a batch's rows, and the rows that have none."""
        columns: dict[str, npt.NDArray[Any]] = {}
        plain = np.ones(batch.num_rows, dtype=bool)
        for name in (*REQUIRED, *OPTIONAL):
            if name in batch.schema.names:
                values, right = (self._text if name in TEXTS else _number)(name, batch.column(name))
            else:
                values, right = self._absent(name, batch.num_rows)
            columns[name] = values
            plain &= right
        refused = []
        for row in np.flatnonzero(~plain).tolist():
            said = _row(batch, row)
            try:
                home = Home.parse(said)
            except InvalidInput as error:
                refused.append(Refused(row, said, error.fields))
                continue
            plain[row] = True
            for name, column in columns.items():
                column[row] = self._features[name](home)
        rows = np.flatnonzero(plain)
        if len(rows) != batch.num_rows:
            columns = {name: values[rows] for name, values in columns.items()}
        return Features(rows, columns, refused)

    def _absent(self, name: str, rows: int) -> tuple[npt.NDArray[Any], Mask]:
        missing = self._features[name](Home.parse(_ANY_HOME))
        kind = object if name in TEXTS else float
        return np.full(rows, missing, dtype=kind), np.ones(rows, dtype=bool)

    def _text(self, name: str, column: pa.Array) -> tuple[npt.NDArray[Any], Mask]:
        """Features of a text column, and which are plainly right."""
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return np.full(len(column), "", dtype=object), np.zeros(len(column), dtype=bool)
        encoded = column.dictionary_encode()
        features = [self._spelling(name, text) for text in encoded.dictionary.to_pylist()]
        # The last place stands for "missing", which an optional text may be.
        values = np.array([*(feature or "" for feature in features), ""], dtype=object)
        right = np.array([*(feature is not None for feature in features), name in OPTIONAL], dtype=bool)
        places = encoded.indices.fill_null(len(features)).to_numpy()
        return values[places], right[places]

    def _spelling(self, name: str, text: str) -> str | None:
        """The feature that a text is, None when `Home` refuses it."""
        known = self._spellings[name]
        if text not in known:
            if len(known) >= SPELLINGS_REMEMBERED:
                known.clear()
            try:
                known[text] = self._features[name](Home.parse({**_ANY_HOME, name: text}))
            except InvalidInput:
                known[text] = None
        return known[text]


def _number(name: str, column: pa.Array) -> tuple[Numbers, Mask]:
    """A number column as floats (NaN where it has none), and which are plainly right."""
    whole = name in WHOLE_NUMBERS
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        plain = pc.match_substring_regex(column, _PLAIN_WHOLE if whole else _PLAIN_NUMBER)
        numbers = pc.if_else(plain, column, None).cast(pa.float64())
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers = column.cast(pa.float64(), safe=False)
    else:
        return np.full(len(column), math.nan), np.zeros(len(column), dtype=bool)
    values = np.array(numbers.to_numpy(zero_copy_only=False), dtype=float)
    low, high = limits_of(name)
    right = (values >= low) & (values <= high)
    if whole:
        right &= values == np.floor(values)
    if name in OPTIONAL:
        right |= column.is_null().to_numpy(zero_copy_only=False)
    return values, right


def _row(batch: pa.RecordBatch, row: int) -> dict[str, Any]:
    """What a row says of a home; what is missing is left out."""
    names = [name for name in batch.schema.names if name in INPUT]
    values = {name: batch.column(name)[row].as_py() for name in names}
    return {name: value for name, value in values.items() if value is not None}
