"""Rows of CSV as a stream: the separator, the names of the header, and the line where each row begins."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from homeprices.tables.lines import EXPECTED, Lines, fault, mark_of

MOST_COLUMNS = 1_000
LONGEST_CELL = csv.field_size_limit()
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)
_QUOTED = "is not CSV: a quoted cell goes on after its closing quotation mark"


@dataclass(frozen=True, eq=False)
class Csv:
    """An open CSV file: the names of its header, which is in `line`, and its rows with what is wrong with them."""

    delimiter: str
    header: list[str]
    line: int
    records: Iterator[tuple[int, list[str], str]]


@lru_cache(maxsize=4096)
def name_of(header: str) -> str:
    """A column's name without capitals, with an underscore for blanks within: ` Total  Sqft` is `total_sqft`."""
    return "_".join(header.split()).lower()


def check_names(source: str, header: Sequence[str], line: int | None) -> None:
    """Raise MalformedTable for a name that is given twice, and for too many names."""
    if len(header) > MOST_COLUMNS:
        raise fault(source, f"has {len(header):,} columns; at most {MOST_COLUMNS:,} are taken", line)
    if twice := next((name for name in header if name and header.count(name) > 1), None):
        raise fault(source, "is given more than once", line, twice)


def open_csv(lines: Lines, known: Collection[str]) -> Csv:
    """Read the header; `known` names tell separators apart. Raises MalformedTable."""
    source, texts, skipped = lines.source, iter(lines), 0
    first = ""
    for first in texts:
        if first.strip():
            break
        skipped += 1
    if not first.strip():
        raise fault(source, f"is empty; {EXPECTED}")
    delimiter = ""
    if separator := _SEPARATOR_LINE.fullmatch(first):
        delimiter, first, skipped = separator[1], next(texts, ""), skipped + 1
    line = skipped + 1
    if problem := mark_of(first):
        raise fault(source, problem, line)
    delimiter = delimiter or _delimiter(source, first, known, line)

    def from_header() -> Iterator[str]:
        yield first
        yield from texts

    reader = csv.reader(from_header(), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        header = [name_of(cell) for cell in next(reader, [])]
    except csv.Error as error:
        raise fault(source, _problem(error), line) from None
    while header and not header[-1]:
        header.pop()
    if not header:
        raise fault(source, f"the header names no column; {EXPECTED}", line)
    return Csv(delimiter, header, line, _records(source, reader, len(header), skipped))


def _delimiter(source: str, header: str, known: Collection[str], line: int) -> str:
    """The separator under which the header holds known names, or else the only one that it has."""
    split = {one: _split(header, one) for one in DELIMITERS if one in header}
    candidates = [one for one, cells in split.items() if any(name_of(cell) in known for cell in cells)]
    candidates = candidates or [one for one, cells in split.items() if len(cells) > 1]
    if len(candidates) > 1:
        found = " and ".join(DELIMITERS[one] for one in candidates)
        raise fault(source, f"the header has {found}; expected one separator, commas", line)
    return candidates[0] if candidates else ","


def _split(header: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


def _problem(error: csv.Error) -> str:
    text = str(error)
    if "field larger" in text:
        return f"a cell has more than {LONGEST_CELL:,} characters; is a quotation mark not closed?"
    return "a quotation mark is not closed" if "unexpected end" in text else _QUOTED


def _records(source: str, reader: Any, width: int, skipped: int) -> Iterator[tuple[int, list[str], str]]:
    """Each row with its line and what is wrong with it; blank lines are left out."""
    blank = [""] * width
    while True:
        line = reader.line_num + skipped + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if (problem := _problem(error)) != _QUOTED:
                raise fault(source, problem, line) from None
            yield line, blank, problem
            continue
        if len(record) == width:
            if record[0][:1] in "<=>|#/" and record[0] and (problem := _marked(record)):
                raise fault(source, problem, line)
        elif not record or (len(record) == 1 and not record[0].strip()):
            continue
        elif len(record) < width or any(cell.strip() for cell in record[width:]):
            if problem := mark_of(record[0]):
                raise fault(source, problem, line)
            yield line, blank, f"has {_trimmed(record, width):,} cells; the header has {width:,}"
            continue
        yield line, record, ""


def _trimmed(record: list[str], width: int) -> int:
    count = len(record)
    while count > width and not record[count - 1].strip():
        count -= 1
    return count


def _marked(record: list[str]) -> str:
    """What is wrong with a row of as many cells as the header that begins as a merge marker or a comment does."""
    alone = not any(cell.strip() for cell in record[1:])
    problem = mark_of(record[0])
    return problem if alone or problem.startswith("is a merge") else ""
