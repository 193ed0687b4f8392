"""Samples from files: listings, logged features, or the reference of a bundle. No server is needed.

Formats are CSV, JSON (a list of objects, or a response of `/api/logs`), JSON lines and Parquet, read by
`homeprices.tables`. Features are in columns, or in a column `inputs` with the JSON of the prediction log.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from homeprices.data.cleaning import LISTED_AS, PARSERS
from homeprices.data.columns import unit_columns
from homeprices.data.schema import MEASURES, interpreted, stripped
from homeprices.drift.repetitions import Counted, without_repetitions
from homeprices.drift.samples import (
    NUMBER_FEATURES,
    PREDICTION,
    PRICE,
    TEXT_FEATURES,
    Baseline,
    Floats,
    baseline_of_bundle,
    baseline_of_sample,
)
from homeprices.errors import DatasetRefused
from homeprices.foreign_text import printable
from homeprices.pricing.inputs import NUMBERS as NUMBERS_OF_HOMES
from homeprices.pricing.inputs import OPTIONAL, REQUIRED
from homeprices.pricing.manifest import Reference
from homeprices.tables.blocks import INPUTS
from homeprices.tables.cells import number, word
from homeprices.tables.quantities import UNIT_COLUMNS
from homeprices.tables.ratios import OF_HOMES, measure_ratios, refusals
from homeprices.tables.reader import Whole, read_whole

MAX_BYTES = 512 * 2**20
"""Some eight million listings."""

_FILE = "file"
OTHER_NAMES = {"estimate": PREDICTION, "prediction": PREDICTION, "predicted_price": PREDICTION}
VISITOR, MOMENT = "visitor", "ts"
"""Columns of the prediction log, besides INPUTS (the home): the visitor (a keyed hash), and the time (UTC)."""

UNITS: frozenset[str] = frozenset().union(*UNIT_COLUMNS.values())
COLUMNS = frozenset({*NUMBER_FEATURES, *TEXT_FEATURES, *LISTED_AS, *OTHER_NAMES, INPUTS, VISITOR, MOMENT, *UNITS})
"""What is read of a file."""

NUMBERS = tuple(name for name in (*NUMBER_FEATURES, *OTHER_NAMES) if name not in PARSERS)
"""Columns that hold numbers only."""


@dataclass(frozen=True, eq=False)
class FileSample:
    """A file's rows as samples, the names of its columns that are not compared, and a sentence on each conversion.

    `measured` are the numbers that the file is judged by as a whole.
    """

    counted: Counted
    ignored: tuple[str, ...]
    measured: Mapping[str, Floats]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FileBaseline:
    """A file as a baseline; the same with each home once; the number of repeated rows; columns not compared."""

    baseline: Baseline
    distinct: Baseline
    repetitions: int = 0
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_baseline(path: Path) -> FileBaseline:
    """The baseline in a file: a table, or the `reference.json` of a bundle.

    Raises DatasetRefused, which names what was found and what was expected.
    """
    body = _read(path)
    if path.suffix == ".json" and (reference := _reference(body)):
        bundle = baseline_of_bundle(reference)
        return FileBaseline(bundle, bundle)
    found = _sample(path, body)
    sample = baseline_of_sample(found.counted.sample)
    once = found.counted.distinct is found.counted.sample
    distinct = sample if once else baseline_of_sample(found.counted.distinct)
    return FileBaseline(sample, distinct, found.counted.repetitions, found.ignored, found.notes)


def read_sample(path: Path) -> FileSample:
    """The sample of a file. Raises DatasetRefused, which names what was found and what was expected."""
    return _sample(path, _read(path))


def sample_of_frame(rows: pd.DataFrame) -> FileSample:
    """The sample of a table of listings or logged features; cells may be numbers or text."""
    rows = _renamed(rows)
    columns: dict[str, Any] = {}
    for name in (*NUMBER_FEATURES, *TEXT_FEATURES):
        if name in rows:
            columns[name] = _numbers(name, rows[name]) if name in NUMBER_FEATURES else _words(rows[name])
    for column, (name, parse) in LISTED_AS.items():
        if name not in columns and column in rows:
            columns[name] = _each(rows[column], parse)
    if not columns:
        known = ", ".join((*NUMBER_FEATURES, *TEXT_FEATURES, *LISTED_AS))
        found = ", ".join(map(str, rows.columns[:20]))[:300] or "none"
        raise DatasetRefused({"file": f"has none of the columns {known}; found {found}"})
    visitors, moments = (rows[name].tolist() if name in rows else None for name in (VISITOR, MOMENT))
    logged = () if visitors is None else (VISITOR, MOMENT)
    used = {*columns, *logged, *(column for column, (name, _) in LISTED_AS.items() if name in columns)}
    ignored = tuple(printable(str(name)) for name in rows.columns if name not in used)
    measured = {name: columns[name] for name in (*NUMBERS_OF_HOMES, PRICE) if name in columns}
    kept = np.any([_is_known(values) for values in columns.values()], axis=0)
    kept[~kept] = (
        rows[~kept].map(lambda cell: cell is not None and cell == cell and str(cell).strip() != "").any(axis=1)
    )
    if not kept.all():  # spreadsheets end in rows of nothing
        columns = {name: list(compress(values, kept)) for name, values in columns.items()}
        visitors, moments = (None if one is None else list(compress(one, kept)) for one in (visitors, moments))
    return FileSample(without_repetitions(columns, int(kept.sum()), visitors, moments), ignored, measured)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DatasetRefused({"file": f"{path} cannot be read: {error.strerror or error}"}) from error
    if len(body) > MAX_BYTES:
        raise DatasetRefused(
            {"file": f"{path.name} has more than {MAX_BYTES:,} bytes, which is the most that is taken"}
        )
    return body


def _sample(path: Path, body: bytes) -> FileSample:
    try:
        whole = read_whole(io.BytesIO(body), _FILE, COLUMNS)
        columns, notes = _interpreted(whole)
        found = sample_of_frame(pd.DataFrame(columns) if columns else pd.DataFrame(columns=whole.ignored))
        outside = measure_ratios(found.measured, whole.lines, OF_HOMES)
        if refused := refusals(outside):
            raise DatasetRefused(refused)
    except DatasetRefused as error:
        said = (problem if name == _FILE else f"{name}: {problem}" for name, problem in error.fields.items())
        raise DatasetRefused({_FILE: f"{path.name}: {'; '.join(said)}"}) from None
    impossible = [f"{one.ratio.column}: {one.sentence()}" for one in outside]
    unused = UNITS.intersection(whole.columns) - {*unit_columns([*whole.columns]).values()}
    return replace(
        found,
        ignored=(*found.ignored, *map(printable, whole.ignored), *sorted(unused)),
        notes=(*whole.notes, *notes, *impossible),
    )


def _interpreted(whole: Whole) -> tuple[dict[str, list[Any]], tuple[str, ...]]:
    """The columns of a file as an import reads them, without those of units, and a sentence for each change."""
    columns, units = dict(whole.columns), unit_columns(list(whole.columns))
    measured = [name for name in (*MEASURES, *NUMBERS, *units.values()) if name in columns]
    texts = {name: stripped(name, columns[name], whole.lines) for name in measured}
    cells, notes = interpreted(texts, whole.lines, units, NUMBERS)
    return {name: values for name, values in (columns | cells).items() if name not in UNITS}, notes


def _reference(body: bytes) -> Reference | None:
    """The reference of a bundle; None if the file is another one. Raises DatasetRefused for a damaged reference."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):  # what is wrong with it, the table's reader says with the line
        return None
    if not isinstance(content, dict) or "features" not in content:
        return None
    try:
        return Reference.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "file"
        raise DatasetRefused({"file": f"is no reference of a bundle: {place}: {first['msg']}"}) from None


def _renamed(rows: pd.DataFrame) -> pd.DataFrame:
    """Names without capitals and spaces at their ends, `inputs` opened, and the estimate under its own name."""
    rows = rows.rename(columns=lambda name: str(name).strip().lower())
    if INPUTS in rows and REQUIRED[0] not in rows:
        inputs = pd.DataFrame([_opened(cell) for cell in rows[INPUTS]], index=rows.index)
        rows = rows.drop(columns=[INPUTS, *(name for name in inputs if name in rows)]).join(inputs)
    for other, name in OTHER_NAMES.items():
        if other in rows and name not in rows:
            rows = rows.rename(columns={other: name})
    twice = sorted({str(name) for name in rows.columns[rows.columns.duplicated()]})
    if twice:
        raise DatasetRefused({"file": f"has the column {twice[0]} more than once"})
    return rows


def _opened(cell: Any) -> Mapping[str, Any]:
    try:
        content = json.loads(cell) if isinstance(cell, str) else cell
    except (ValueError, RecursionError):
        raise DatasetRefused({"file": f"{INPUTS} holds no JSON: {cell[:40]!r}"}) from None
    return content if isinstance(content, dict) else {}


def _numbers(name: str, column: pd.Series) -> Floats:
    """The column as numbers; NaN for what cleaning takes for missing: other cells, and numbers below zero, or from zero
    down where nothing has none. Areas may have a range or a unit: `1056 - 1200`, `34 Sq. Meter`.
    """
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        numbers = _each(column, PARSERS.get(name, number))
    return np.where(numbers >= 0 if name in OPTIONAL else numbers > 0, numbers, np.nan)


def _is_known(values: Sequence[str] | Floats) -> npt.NDArray[np.bool_]:
    """Which rows have a value."""
    return (
        ~np.isnan(values) if isinstance(values, np.ndarray) else np.array([word != "" for word in values], dtype=bool)
    )


def _words(column: pd.Series) -> list[str]:
    cells = column.astype(object).where(column.notna(), "").tolist()
    words = {cell: word(str(cell)) for cell in _distinct(cells)}
    return [words[cell] for cell in cells]


def _each(column: pd.Series, parse: Callable[[str], float | None]) -> Floats:
    """`parse` of every cell, called once per distinct text."""
    words = column.astype(object).where(column.notna(), "").tolist()
    values = {word: parse(str(word)) for word in _distinct(words)}
    return np.array([np.nan if (value := values[word]) is None else value for word in words], dtype=np.float64)


def _distinct(words: Iterable[Any]) -> set[Any]:
    try:
        return set(words)
    except TypeError:
        raise DatasetRefused({"file": "has a list or an object where a word or a number is expected"}) from None
