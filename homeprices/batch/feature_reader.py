"""Reads features from record batches: the rules of `Home`, applied to whole columns.

Array operations accept the rows that are valid beyond doubt. Every other row goes through `Home.parse`, which accepts
or refuses it, so the two paths accept the same rows. `Home` parses a text, also one that is a number, once per spelling
and not once per row.
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
from homeprices.tables.quantities import MEASURED
from homeprices.tables.ratios import measure

CACHED_SPELLINGS = 100_000
"""Per column; when there are more, the cache is cleared."""

_PLAIN_NUMBER, _PLAIN_WHOLE = r"^[1-9][0-9]{0,6}(\.[0-9]{1,20})?$", r"^(0|[1-9][0-9]?)(\.0)?$"
_ANY_HOME = {field.name: field.example for field in INPUTS if field.required}

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Refused:
    """A row without an estimate: its number in the batch, its values, and a sentence per wrong field."""

    row: int
    values: dict[str, Any]
    reasons: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Features:
    """The accepted rows: their numbers in the batch, and an array per feature. `refused` are the others.

    `measured` has area, bedrooms and baths of all rows, refused ones too, for the judgement of the table as a whole.
    """

    rows: npt.NDArray[np.int64]
    columns: dict[str, npt.NDArray[Any]]
    refused: list[Refused]
    measured: dict[str, Numbers]


class FeatureReader:
    """Reads features from record batches and caches the feature of each spelling."""

    def __init__(self, locations: Locations) -> None:
        self._features: dict[str, Callable[[Home], Any]] = {
            **FEATURES,
            LOCATION: lambda home: locations.match(home.place),
        }
        self._spellings: dict[str, dict[str, Any]] = {field.name: {} for field in INPUTS}

    def read(self, batch: pa.RecordBatch, faults: Mapping[int, tuple[str, str]] | None = None) -> Features:
        """The features of a batch's rows, and its refused rows: `faults` has those that the table's reader refused, by
        position, with a column and what is wrong with it.
        """
        faults = faults or {}
        columns: dict[str, npt.NDArray[Any]] = {}
        plain = np.ones(batch.num_rows, dtype=bool)
        for name in (*REQUIRED, *OPTIONAL):
            if name in batch.schema.names:
                values, right = (self._text if name in TEXTS else self._number)(name, batch.column(name))
            else:
                values, right = self._absent(name, batch.num_rows)
            columns[name] = values
            plain &= right
        plain[list(faults)] = False
        refused = []
        for row in np.flatnonzero(~plain).tolist():
            if row in faults:
                refused.append(Refused(row, {}, dict([faults[row]])))
                continue
            values_of_row = _row(batch, row)
            try:
                home = Home.parse(values_of_row, name_values=True)
            except InvalidInput as error:
                refused.append(Refused(row, values_of_row, error.fields))
                for name in MEASURED:
                    columns[name][row] = measure(values_of_row.get(name))
                continue
            plain[row] = True
            for name, column in columns.items():
                column[row] = self._features[name](home)
        measured = {name: np.where(columns[name] > 0, columns[name], math.nan) for name in MEASURED}
        rows = np.flatnonzero(plain)
        if len(rows) != batch.num_rows:
            columns = {name: values[rows] for name, values in columns.items()}
        return Features(rows, columns, refused, measured)

    def _absent(self, name: str, rows: int) -> tuple[npt.NDArray[Any], Mask]:
        missing = self._features[name](Home.parse(_ANY_HOME))
        kind = object if name in TEXTS else float
        return np.full(rows, missing, dtype=kind), np.ones(rows, dtype=bool)

    def _text(self, name: str, column: pa.Array) -> tuple[npt.NDArray[Any], Mask]:
        """The features of a text column, and a mask of the rows that are valid beyond doubt."""
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return np.full(len(column), "", dtype=object), np.zeros(len(column), dtype=bool)
        encoded = column.dictionary_encode()
        features = [self._spelling(name, text) for text in encoded.dictionary.to_pylist()]
        # The last entry stands for a missing text, which is valid for an optional input.
        values = np.array([*(feature or "" for feature in features), ""], dtype=object)
        right = np.array([*(feature is not None for feature in features), name in OPTIONAL], dtype=bool)
        indices = encoded.indices.fill_null(len(features)).to_numpy()
        return values[indices], right[indices]

    def _number(self, name: str, column: pa.Array) -> tuple[Numbers, Mask]:
        """A number column as floats (missing: NaN), and a mask of the rows that are valid beyond doubt."""
        whole = name in WHOLE_NUMBERS
        odd = np.zeros(len(column), dtype=bool)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            plain = pc.match_substring_regex(column, _PLAIN_WHOLE if whole else _PLAIN_NUMBER)
            odd = pc.invert(plain).fill_null(False).to_numpy(zero_copy_only=False)
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
        if odd.any():
            encoded = column.filter(pa.array(odd)).dictionary_encode()
            found = [self._spelling(name, text) for text in encoded.dictionary.to_pylist()]
            indices = encoded.indices.to_numpy()
            values[odd] = np.array([math.nan if value is None else value for value in found], dtype=float)[indices]
            right[odd] = np.array([value is not None for value in found], dtype=bool)[indices]
        return values, right

    def _spelling(self, name: str, text: str) -> Any:
        """The feature of a text; None when `Home` refuses it."""
        known = self._spellings[name]
        if text not in known:
            if len(known) >= CACHED_SPELLINGS:
                known.clear()
            try:
                known[text] = self._features[name](Home.parse({**_ANY_HOME, name: text}))
            except InvalidInput:
                known[text] = None
        return known[text]


def _row(batch: pa.RecordBatch, row: int) -> dict[str, Any]:
    """The inputs of a row, without missing ones."""
    names = [name for name in batch.schema.names if name in INPUT]
    values = {name: batch.column(name)[row].as_py() for name in names}
    return {name: value for name, value in values.items() if value is not None}
