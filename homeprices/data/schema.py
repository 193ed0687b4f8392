"""The schema of the raw table: the columns of `listing` as text, as downloaded, and `listed_on` if it is there.

Reading rejects a file that is not this table. It accepts blank and odd cells, because `cleaning` rejects single rows.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from homeprices.data.columns import unit_columns, with_units
from homeprices.data.listing import COLUMNS as COLUMNS
from homeprices.data.listing import MEASURES as MEASURES
from homeprices.data.listing import NUMBER_COLUMNS as NUMBER_COLUMNS
from homeprices.data.listing_dates import LISTED_ON
from homeprices.errors import DatasetRefused, InvalidInput
from homeprices.tables.cells import is_missing, number
from homeprices.tables.commas import with_points
from homeprices.tables.json_rows import text_of
from homeprices.tables.reader import Format, read_whole

MAX_BYTES = 32 * 2**20
"""Some 500,000 listings. Reading one takes memory of about twelve times its size."""

BAD_ROWS_SHOWN = 3
_FILE = "file"
_CELL_SHOWN, _COLUMNS_SHOWN = 40, 20


@dataclass(frozen=True, eq=False)
class Listings:
    """The raw table of a file: its columns as stripped text (blank: ''), indexed by line number in the file.

    Decimal commas of a column are points here, and the units of a column of units are applied.
    """

    table: pd.DataFrame
    ignored: tuple[str, ...]
    """Columns of the file that are not used."""
    notes: tuple[str, ...]
    """A sentence for each column whose cells were read in another way than they are written."""
    format: Format = "csv"
    """That of the file."""


def read_listings(body: bytes) -> pd.DataFrame:
    """The raw table of a file in any format (`Listings.table`). Raises DatasetRefused as `read_file` does."""
    return read_file(body).table


def read_file(body: bytes) -> Listings:
    """The listings of a file in any format. Columns without a meaning are ignored and named.

    Raises DatasetRefused that names the column (or `file`), the first bad rows with their line numbers, and what was
    expected.
    """
    if len(body) > MAX_BYTES:
        raise DatasetRefused({_FILE: f"has {len(body):,} bytes; at most {MAX_BYTES:,} are taken"})
    whole = read_whole(io.BytesIO(body), _FILE, (), COLUMNS)
    if not whole.lines:
        raise DatasetRefused({_FILE: "holds a header and no row; expected listings"})
    header = list(whole.columns)
    columns = {name: stripped(name, whole.columns[name], whole.lines) for name in used_columns(header)}
    listings = listings_of(header, whole.lines, columns)
    return replace(listings, notes=(*whole.notes, *listings.notes), format=whole.format)


def used_columns(header: Sequence[str]) -> tuple[str, ...]:
    """The columns of a header that `listings_of` needs: COLUMNS, `listed_on` if it is there, and columns of units."""
    return (*raw_columns(header), *unit_columns(header).values())


def listings_of(header: Sequence[str], lines: Sequence[int], columns: Mapping[str, list[str]]) -> Listings:
    """The listings of stripped cells, by column (`used_columns`), and the line of each row.

    Raises DatasetRefused for cells of a column that are no numbers or have an unknown unit.
    """
    ignored = tuple(dict.fromkeys(name[:_CELL_SHOWN] for name in header if name and name not in columns))
    try:
        cells, notes = interpreted(columns, lines, unit_columns(header))
    except DatasetRefused as error:
        raise DatasetRefused(error.fields | named(ignored)) from None
    index = pd.Index(lines, name="line")
    table = pd.DataFrame({name: cells[name] for name in raw_columns(cells)}, index=index, dtype=object)
    return Listings(table, ignored, notes)


def raw_columns(names: Iterable[str]) -> list[str]:
    """The columns of a raw table: COLUMNS, and `listed_on` if it is among the names."""
    return [*COLUMNS, *([LISTED_ON] if LISTED_ON in names else [])]


def interpreted(
    columns: Mapping[str, list[str]],
    lines: Sequence[int],
    units: Mapping[str, str],
    numbers: Sequence[str] = NUMBER_COLUMNS,
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Stripped cells by column, with decimal points and in the dataset's own units, and a sentence for each change.

    `units` are the columns of units (`unit_columns`), `numbers` the columns that hold numbers only; columns that are
    absent are passed over. Raises DatasetRefused for a cell that is no number or has an unknown unit.
    """
    cells, points = with_points(
        columns, lines, [name for name in dict.fromkeys((*MEASURES, *numbers)) if name in columns]
    )
    for name in numbers:
        if name in cells:
            _require(name, lines, cells[name], is_number_or_missing, "a number or nothing")
    cells, honoured = with_units(cells, lines, {name: unit for name, unit in units.items() if name in cells})
    return cells, (*points, *honoured)


def named(ignored: tuple[str, ...]) -> dict[str, str]:
    """The line of a refusal that names the ignored columns, if there are any: one of them may explain it."""
    names = ", ".join(ignored[:_COLUMNS_SHOWN]) + (" ..." if len(ignored) > _COLUMNS_SHOWN else "")
    return {"ignored columns": names} if ignored else {}


def to_csv(table: pd.DataFrame) -> bytes:
    """The table as the CSV file that `read_listings` reads."""
    return table.loc[:, raw_columns(table.columns)].to_csv(index=False, lineterminator="\n").encode()


def stripped(name: str, cells: Sequence[Any], lines: Sequence[int]) -> list[str]:
    """The cells of a column as stripped text. Raises DatasetRefused for a list or an object, with its line."""
    return [_cell(name, cell, line) for cell, line in zip(cells, lines, strict=True)]


def _cell(name: str, cell: Any, line: int) -> str:
    try:
        return text_of(cell).strip()
    except InvalidInput as error:
        raise DatasetRefused({_FILE: f"line {line}, column {name}: {error.fields['row']}"}) from None


def is_number_or_missing(cell: str) -> bool:
    """Whether a cell of a number column is in order."""
    return number(cell) is not None or is_missing(cell)


def _require(name: str, lines: Sequence[int], cells: list[str], allowed: Callable[[str], bool], expected: str) -> None:
    wrong = {cell for cell in set(cells) if not allowed(cell)}
    if wrong:
        bad = [(line, repr(cell[:_CELL_SHOWN])) for line, cell in zip(lines, cells, strict=True) if cell in wrong]
        _refuse(name, bad, expected)


def _refuse(name: str, bad: list[tuple[int, str]], expected: str) -> None:
    shown = ", ".join(f"line {line}: {cell}" for line, cell in bad[:BAD_ROWS_SHOWN])
    more = f" and {len(bad) - BAD_ROWS_SHOWN:,} more" if len(bad) > BAD_ROWS_SHOWN else ""
    raise DatasetRefused({name: f"expected {expected}; found {shown}{more}"})
