"""The data contract: pandera schemas of raw and clean listings, and checks of the meaning of each column.

`cleaning` rejects single rows. The contract rejects a whole table: one that violates its schema, or one in which a
column has changed its meaning, for example prices in another unit. Its limits are wide, apply to the table as a whole,
and never decide about a single home.

This module is imported where it is used, because importing pandera takes most of a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pandera.pandas as pa

from homeprices.data import listing
from homeprices.data.cleaning import CELL_SHOWN, CLEAN_COLUMNS, Cleaned, clean, require_usable
from homeprices.data.listing import MISSING_REASONS, RULES
from homeprices.data.listing_dates import LISTED_ON, NO_DAY, parse_day
from homeprices.data.schema import COLUMNS, NUMBER_COLUMNS, Listings, is_number_or_missing, named, read_file
from homeprices.errors import DatasetRefused
from homeprices.pricing.inputs import OPTIONAL, REQUIRED, TEXTS
from homeprices.tables.ratios import refusals

FAILURES_SHOWN = 3

# Below this many rows a median says little about the meaning of a column.
MIN_ROWS_FOR_MEANING = 30


def _is_text(column: pd.Series) -> pd.Series:
    return column.map(lambda cell: isinstance(cell, str))


def _is_number_or_blank(column: pd.Series) -> pd.Series:
    return column.map(lambda cell: is_number_or_missing(str(cell)))


def _is_spaced_once(column: pd.Series) -> pd.Series:
    return column == column.str.split().str.join(" ")


def _raw_column(name: str) -> pa.Column:
    checks = [pa.Check(_is_text, name="text")]
    if name in NUMBER_COLUMNS:
        checks.append(pa.Check(_is_number_or_blank, name="a number or nothing"))
    return pa.Column(None, checks)


def _number(reason: str, *checks: pa.Check, nullable: bool = False) -> pa.Column:
    finite = pa.Check(lambda column: np.isfinite(column), name=f"{reason}: finite")
    return pa.Column(float, [finite, *checks], nullable=nullable)


def _above_zero(reason: str) -> pa.Check:
    return pa.Check(lambda column: column > 0, name=reason)


def _text_column(*checks: pa.Check) -> pa.Column:
    single = pa.Check(_is_spaced_once, name="single spaces")
    return pa.Column(None, [pa.Check(_is_text, name="text"), single, *checks])


def _required_column(name: str, reason: str) -> pa.Column:
    if name in TEXTS:
        return _text_column(pa.Check(lambda column: column != "", name=reason))
    return _number(reason, _above_zero(reason))


def _optional_column(name: str) -> pa.Column:
    if name in TEXTS:
        return _text_column()
    return _number(name, pa.Check.ge(0, name=f"no negative {name}"), nullable=True)


RAW = pa.DataFrameSchema({name: _raw_column(name) for name in COLUMNS}, strict=True, ordered=True, name="raw listings")
"""Text as downloaded. Blank cells are '' and allowed here; `cleaning` rejects single rows."""

CLEAN = pa.DataFrameSchema(
    {
        **{name: _required_column(name, MISSING_REASONS[name]) for name in REQUIRED},
        **{name: _optional_column(name) for name in OPTIONAL},
        "price": _required_column("price", MISSING_REASONS["price"]),
    },
    checks=[pa.Check(lambda rows, wrong=wrong: ~wrong(rows), name=reason) for reason, (_, wrong) in RULES.items()],
    strict=True,
    ordered=True,
    unique=list(CLEAN_COLUMNS),
    name="clean listings",
)
"""In the units of the inputs, single spaces; missing text is '', a missing number NaN; no row twice."""


_DAY = pa.Column(None, pa.Check(lambda column: column.map(parse_day) == column, name=NO_DAY))

DATED_RAW = RAW.add_columns({LISTED_ON: pa.Column(None, pa.Check(_is_text, name="text"))})
DATED_CLEAN = CLEAN.add_columns({LISTED_ON: _DAY})
DATED_CLEAN.unique = [*CLEAN_COLUMNS, LISTED_ON]
"""The schemas of a table with `listed_on`: a home may be listed twice at one price, on two days."""


@dataclass(frozen=True)
class Meaning:
    """A statistic of a column (a median or a share), and the range in which the column keeps its meaning."""

    column: str
    what: str
    low: float
    high: float
    measure: Callable[[pd.DataFrame], float]
    """NaN for rows without a value."""


MEANINGS = tuple(Meaning(*members) for members in listing.MEANINGS)


@dataclass(frozen=True, eq=False)
class Accepted:
    """A file that passed every check: its listings as read, and as cleaned."""

    listings: Listings
    cleaned: Cleaned

    def report(self) -> list[str]:
        """Notes for a person, a line each: ignored columns, cells that were converted, rows that are not used."""
        ignored = [f"{name}: {columns}" for name, columns in named(self.listings.ignored).items()]
        return [*ignored, *self.listings.notes, *self.cleaned.sentences()]


def accept(body: bytes, until: date | None = None) -> Accepted:
    """Read, clean and check a file of listings: all checks of `data import` and of both files of `evaluate`.

    `until` is the day of the import: no listing can be later.

    Raises DatasetRefused with a line for each fault, and one that names the ignored columns.
    """
    listings = read_file(body)
    try:
        require_raw(listings.table)
        cleaned = clean(listings.table, until)
        require_training_rows(cleaned)
    except DatasetRefused as error:
        raise DatasetRefused(error.fields | named(listings.ignored)) from None
    return Accepted(listings, cleaned)


def require_raw(table: pd.DataFrame) -> None:
    """Raise DatasetRefused, with one line per column, when a raw table violates the contract."""
    _require(DATED_RAW if LISTED_ON in table.columns else RAW, table)


def require_training_rows(cleaned: Cleaned) -> None:
    """Raise DatasetRefused when clean listings are unfit for training: too many rejected rows, a violated schema, a
    column that has changed its meaning, or too many rows with impossible ratios.
    """
    ratios = refusals(cleaned.outside)
    try:
        require_usable(cleaned)
    except DatasetRefused as error:  # areas in square metres are too small for their bedrooms: the ratio says why
        raise DatasetRefused(error.fields | ratios) from None
    _require(DATED_CLEAN if LISTED_ON in cleaned.rows.columns else CLEAN, cleaned.rows)
    changed = {
        meaning.column: f"{found:,.4g} {meaning.what}; expected {meaning.low:g} to {meaning.high:,g}. "
        "The column no longer means what it did"
        for meaning, found in measure_meanings(cleaned.rows)
        if not meaning.low <= found <= meaning.high
    }
    for column, sentence in ratios.items():
        changed[column] = f"{changed[column]}; {sentence}" if column in changed else sentence
    if changed:
        raise DatasetRefused(changed)


def measure_meanings(rows: pd.DataFrame) -> list[tuple[Meaning, float]]:
    """Each of MEANINGS that can be measured on these clean rows, with its figure. Columns without a value are left out,
    and so is everything when the rows are few.
    """
    if len(rows) < MIN_ROWS_FOR_MEANING:
        return []
    found = [(meaning, float(meaning.measure(rows))) for meaning in MEANINGS]
    return [(meaning, value) for meaning, value in found if not math.isnan(value)]


def _require(schema: pa.DataFrameSchema, table: pd.DataFrame) -> None:
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise DatasetRefused(_problems(error.failure_cases, str(schema.name))) from None


def _problems(cases: pd.DataFrame, what: str) -> dict[str, str]:
    """A line a column (or `file`, for what concerns whole rows): which check failed, and at which lines first."""
    column = cases["column"].where(cases["schema_context"] == "Column", "file").fillna("file").astype(str)
    problems: dict[str, str] = {}
    for name, failed in cases.groupby(column, sort=False):
        checks = ", ".join(dict.fromkeys(failed["check"].astype(str)))
        lines = failed.drop_duplicates("index")
        shown = lines.head(FAILURES_SHOWN)[["index", "failure_case"]].to_numpy()
        places = ", ".join(_place(line, cell, whole_row=name == "file") for line, cell in shown)
        more = f" and {len(lines) - FAILURES_SHOWN:,} more" if len(lines) > FAILURES_SHOWN else ""
        problems[str(name)] = f"breaks the contract of {what} ({checks}): {places}{more}"
    return problems


def _place(line: object, cell: object, *, whole_row: bool) -> str:
    if line is None or line != line:  # what concerns the whole table, a missing column say, has no line
        return str(cell)[:CELL_SHOWN]
    return f"line {line}" if whole_row else f"line {line}: {str(cell)[:CELL_SHOWN]!r}"
