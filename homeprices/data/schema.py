"""The schema of the raw table: nine columns of text as downloaded.

Reading rejects a file that is not this table. It accepts blank and odd cells, because `cleaning` rejects single rows.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator

import pandas as pd

from homeprices.errors import DatasetRefused

COLUMNS = ("area_type", "availability", "location", "size", "society", "total_sqft", "bath", "balcony", "price")
NUMBER_COLUMNS = ("bath", "balcony", "price")

MAX_BYTES = 32 * 2**20
"""Some 500,000 listings. Reading one takes memory of about twelve times its size."""

BAD_ROWS_SHOWN = 3
OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_FILE = "file"
_CELL_SHOWN = 40


def read_listings(body: bytes) -> pd.DataFrame:
    """The raw table of a CSV file: nine columns of stripped text (blank: ''), indexed by line number in the file.

    Raises DatasetRefused that names the column (or `file`), the first bad rows with their line numbers, and what was
    expected. Other columns are ignored.
    """
    header, records = _records(_text(body))
    _require_columns(header)
    places = [header.index(name) for name in COLUMNS]
    lines: list[int] = []
    cells: list[list[str]] = []
    ragged: list[tuple[int, str]] = []
    for line, record in records:
        if len(record) != len(header):
            ragged.append((line, f"{len(record)} cells"))
            continue
        lines.append(line)
        cells.append([record[place].strip() for place in places])
    if ragged:
        _refuse(_FILE, ragged, f"{len(header)} cells in each row, as in the header")
    if not cells:
        raise DatasetRefused({_FILE: "holds a header and no row; expected listings"})
    table = pd.DataFrame(cells, columns=list(COLUMNS), index=pd.Index(lines, name="line"), dtype=object)
    for name in NUMBER_COLUMNS:
        _require(table[name], _is_number, "a number or nothing")
    return table


def to_csv(table: pd.DataFrame) -> bytes:
    """The table as the CSV file that `read_listings` reads."""
    return table.loc[:, list(COLUMNS)].to_csv(index=False, lineterminator="\n").encode()


def _text(body: bytes) -> str:
    if len(body) > MAX_BYTES:
        raise DatasetRefused({_FILE: f"has {len(body):,} bytes; at most {MAX_BYTES:,} are taken"})
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise DatasetRefused({_FILE: f"line {line} is not UTF-8; expected CSV text in UTF-8"}) from None
    if "\x00" in text:
        raise DatasetRefused({_FILE: "holds zero bytes; expected CSV text in UTF-8"})
    if not text.strip():
        raise DatasetRefused({_FILE: f"is empty; expected a header with {', '.join(COLUMNS)}, then listings"})
    return text


def _records(text: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)

    def rows() -> Iterator[tuple[int, list[str]]]:
        end_of_last = 0
        try:
            for record in reader:
                if record:
                    yield end_of_last + 1, record
                end_of_last = reader.line_num
        except csv.Error as error:
            raise DatasetRefused({_FILE: f"is not CSV at line {reader.line_num}: {error}"}) from None

    records = rows()
    _, header = next(records)
    return [name.strip() for name in header], records


def _require_columns(header: list[str]) -> None:
    if len(header) == 1:
        for delimiter, name in OTHER_DELIMITERS.items():
            if delimiter in header[0]:
                raise DatasetRefused({_FILE: f"is separated by {name}; expected commas"})
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        found = ", ".join(name[:_CELL_SHOWN] for name in header[:20])
        raise DatasetRefused(dict.fromkeys(missing, f"no such column in the header; found {found}"))
    twice = [name for name in COLUMNS if header.count(name) > 1]
    if twice:
        raise DatasetRefused(dict.fromkeys(twice, "this column stands in the header more than once"))


def _require(column: pd.Series, allowed: Callable[[str], bool], expected: str) -> None:
    cells = zip(column.index.tolist(), column.tolist(), strict=True)
    bad = [(line, repr(cell[:_CELL_SHOWN])) for line, cell in cells if not allowed(cell)]
    if bad:
        _refuse(str(column.name), bad, expected)


def _refuse(name: str, bad: list[tuple[int, str]], expected: str) -> None:
    shown = ", ".join(f"line {line}: {cell}" for line, cell in bad[:BAD_ROWS_SHOWN])
    more = f" and {len(bad) - BAD_ROWS_SHOWN:,} more" if len(bad) > BAD_ROWS_SHOWN else ""
    raise DatasetRefused({name: f"expected {expected}; found {shown}{more}"})


def _is_number(cell: str) -> bool:
    if not cell:
        return True
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
