"""Rows of CSV as a stream: the separator, the names of the header, and the line where each row begins."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from typing import Any

from homeprices.tables.lines import EXPECTED, Lines, count_line_ends, fault, mark_of, refusal

MOST_COLUMNS = 1_000
LONGEST_CELL = csv.field_size_limit()
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)
_MARKS = frozenset("<=>|#/")
_QUOTED = "is not CSV: a quoted cell goes on after its closing quotation mark"


@dataclass(frozen=True, eq=False)
class Csv:
    """An open CSV file: the names of its header, which is in `line`, and its rows with what is wrong with them."""

    delimiter: str
    header: list[str]
    line: int
    chunks: Iterator[Chunk]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some rows, the line where each begins, and what is wrong with a row by its position here.

    A row may have blank cells after those of the header.
    """

    lines: Any
    records: list[list[str]]
    problems: dict[int, str]

    def add(self, line: int, record: list[str], problem: str) -> None:
        """Add a row."""
        if problem:
            self.problems[len(self.records)] = problem
        self.lines.append(line)
        self.records.append(record)


@lru_cache(maxsize=4096)
def name_of(header: str) -> str:
    """A column's name without capitals, with an underscore for blanks within: ` Floor  Area` is `floor_area`."""
    return "_".join(header.split()).lower()


def check_names(source: str, header: Sequence[str], line: int | None) -> None:
    """Raise DatasetRefused for a name that is given twice, and for too many names."""
    if len(header) > MOST_COLUMNS:
        raise refusal(source, f"has {len(header):,} columns; at most {MOST_COLUMNS:,} are taken", line)
    if twice := next((name for name in header if name and header.count(name) > 1), None):
        raise refusal(source, "is given more than once", line, twice)


def open_csv(lines: Lines, known: Collection[str], rows: int) -> Csv:
    """Read the header, with the separator that yields `known` names; chunks have at most `rows` rows.

    Raises DatasetRefused.
    """
    source, texts, skipped = lines.source, iter(lines), 0
    first = ""
    for first in texts:
        if first.strip():
            break
        skipped += 1
    if not first.strip():
        raise refusal(source, f"is empty; {EXPECTED}")
    delimiter = ""
    if separator := _SEPARATOR_LINE.fullmatch(first):
        delimiter, first, skipped = separator[1], next(texts, ""), skipped + 1
    line = skipped + 1
    if problem := mark_of(first):
        raise fault(source, problem, line)
    delimiter = delimiter or _delimiter(source, first, known, line)
    reader = csv.reader(chain([first], texts), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        header = [name_of(cell) for cell in next(reader, [])]
    except csv.Error as error:
        raise fault(source, _problem(error), line) from None
    while header and not header[-1]:
        header.pop()
    if not header:
        raise fault(source, f"the header names no column; {EXPECTED}", line)
    return Csv(delimiter, header, line, _chunks(source, reader, len(header), skipped, rows))


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


def _chunks(source: str, reader: Any, width: int, skipped: int, rows: int) -> Iterator[Chunk]:
    """Up to `rows` rows at a time; blank lines are left out."""
    while True:
        first = reader.line_num + skipped + 1
        records: list[list[str]] = []
        error: csv.Error | None = None
        try:
            records.extend(islice(reader, rows))  # keeps what was read before an error
        except csv.Error as caught:
            error = caught
        count = len(records)
        if not count and error is None:
            return
        plain = reader.line_num + skipped + 1 - first == count and error is None and {*map(len, records)} == {width}
        if plain and _MARKS.isdisjoint({record[0][:1] for record in records}):
            yield Chunk(range(first, first + count), records, {})
            continue
        chunk, line = Chunk([], [], {}), first
        for record in records:
            _judge(source, chunk, line, record, width)
            line += 1 + sum(count_line_ends(cell) for cell in record)
        if error is not None:
            if (problem := _problem(error)) != _QUOTED:
                raise fault(source, problem, line)
            chunk.add(line, [""] * width, problem)
        yield chunk


def _judge(source: str, chunk: Chunk, line: int, record: list[str], width: int) -> None:
    """Add a row to the chunk unless its line is blank. Raises MalformedTable for a merge marker and for a comment."""
    problem = ""
    if len(record) == width:
        if problem := _marked(record):
            raise fault(source, problem, line)
    elif not record or (len(record) == 1 and not record[0].strip()):
        return
    elif len(record) < width or any(cell.strip() for cell in record[width:]):
        if problem := mark_of(record[0]):
            raise fault(source, problem, line)
        problem = f"has {_trimmed(record, width):,} cells; the header has {width:,}"
        record = [""] * width
    chunk.add(line, record, problem)


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
