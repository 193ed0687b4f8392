"""Rows of CSV as a stream: the separator, the names of the header, and the line where each row begins.

Text without a quotation mark, with as many cells in every line, is split as a whole. All other text goes through the
standard library's reader, which gives the same cells for a third of the speed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, repeat

from homeprices.tables.cells import key_of
from homeprices.tables.lines import EXPECTED, Lines, count_line_ends, fault, mark_of, refusal

MOST_COLUMNS = 1_000
LONGEST_CELL = csv.field_size_limit()
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)
_MARKS = frozenset("<=>|#/")
Record = tuple[str, ...]
"""Not a list, for which the collector of garbage would look through a whole block again and again."""

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

    `columns` may go on after those of the header; such cells are blank.
    """

    lines: Sequence[int]
    columns: Sequence[Sequence[str]]
    problems: dict[int, str]


class _Texts:
    """The lines of a file, some for the reader of the standard library and the others as pieces of text."""

    def __init__(self, lines: Lines) -> None:
        self._texts = lines.whole()
        self._open = io.StringIO()
        self.begun = 0
        """How many lines the pieces have that the latest `lines` has begun."""

    def lines(self, text: str) -> Iterator[str]:
        """The lines of a piece, and then of those that follow for as long as they are asked for."""
        self.begun = _count_lines(text)
        return self._lines(text)

    def _lines(self, text: str) -> Iterator[str]:
        while text:
            self._open = io.StringIO(text, newline="")
            yield from iter(self._open.readline, "")  # not the file itself, which a generator closes when it ends
            text = next(self._texts, "")
            self.begun += _count_lines(text)

    def rest(self) -> str:
        """What `lines` has left of its piece, or else the next one; '' at the end of the file."""
        return self._open.read() or next(self._texts, "")


def _count_lines(text: str) -> int:
    return count_line_ends(text) + bool(text and text[-1] not in "\r\n")


@lru_cache(maxsize=4096)
def name_of(header: str) -> str:
    """The key of a column's name, with an underscore for blanks and hyphens: ` Floor - Area` is `floor_area`."""
    return "_".join(key_of(header).replace("-", " ").split())


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
    source, pieces, skipped = lines.source, _Texts(lines), 0
    texts, first = pieces.lines(pieces.rest()), ""
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
    below = skipped + reader.line_num + 1
    return Csv(delimiter, header, line, _chunks(source, pieces, delimiter, len(header), below, rows))


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


def _chunks(source: str, pieces: _Texts, delimiter: str, width: int, line: int, rows: int) -> Iterator[Chunk]:
    """Up to `rows` rows at a time, the first of which begins in or after `line`; blank lines are left out."""
    while text := pieces.rest():
        if plain := _plain_lines(text, delimiter, width):
            del text
            cells = plain[0].count(delimiter) + 1
            for start in range(0, len(plain), rows):
                held = plain[start : start + rows]
                flat = tuple(delimiter.join(held).split(delimiter))
                yield Chunk(range(line, line + len(held)), [flat[place::cells] for place in range(cells)], {})
                line += len(held)
            continue
        reader = csv.reader(pieces.lines(text), delimiter=delimiter, strict=True, skipinitialspace=True)
        while (left := pieces.begun - reader.line_num) > 0:
            before = reader.line_num
            # With no more rows than lines are left, the reader stops at the end of a piece, unless a quoted line break
            # lies there. Then it goes on in the next one.
            records: list[Record] = []
            error: csv.Error | None = None
            try:
                records.extend(map(tuple, islice(reader, min(rows, left))))  # keeps what was read before an error
            except csv.Error as caught:
                error = caught
            yield _judged(source, records, error, width, line + before, reader.line_num - before)
        line += reader.line_num


def _plain_lines(text: str, delimiter: str, width: int) -> list[str] | None:
    """The lines of a text that a split at the delimiter reads as the standard library does; None of any other text.

    Every line has as many cells, of which those after the header's are blank; none is a merge marker or a comment.
    """
    if '"' in text or f"{delimiter} " in text:
        return None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    counts = set(map(str.count, lines, repeat(delimiter)))
    starts = {line[:1] for line in lines}
    if len(counts) > 1 or any(start in _MARKS or not start.strip() for start in starts):
        return None
    if max(map(len, lines)) > LONGEST_CELL:
        return None
    more = counts.pop() + 1 - width
    if more < 0 or (more and any(line.rsplit(delimiter, more)[1:] != [""] * more for line in lines)):
        return None
    return lines


def _judged(source: str, records: list[Record], error: csv.Error | None, width: int, line: int, length: int) -> Chunk:
    """The chunk of these records, which are in `length` lines. Raises MalformedTable."""
    count = len(records)
    even = length == count and error is None and {*map(len, records)} == {width}
    if even and _MARKS.isdisjoint({record[0].lstrip()[:1] for record in records}):
        return Chunk(range(line, line + count), list(zip(*records, strict=True)), {})
    lines: list[int] = []
    kept: list[Record] = []
    problems: dict[int, str] = {}
    blank = ("",) * width
    for record in records:
        if (problem := _problem_of(source, line, record, width)) is not None:
            if problem:
                problems[len(kept)] = problem
            kept.append(blank if problem else record)
            lines.append(line)
        line += 1 + sum(count_line_ends(cell) for cell in record)
    if error is not None:
        if (problem := _problem(error)) != _QUOTED:
            raise fault(source, problem, line)
        problems[len(kept)] = problem
        kept.append(blank)
        lines.append(line)
    return Chunk(lines, list(zip(*kept, strict=False)), problems)  # longer rows have blank cells at their ends


def _problem_of(source: str, line: int, record: Record, width: int) -> str | None:
    """What is wrong with a row; '' for nothing, None for a blank line.

    Raises MalformedTable for a merge marker and for a comment.
    """
    if len(record) == width:
        if problem := _marked(record):
            raise fault(source, problem, line)
    elif not record or (len(record) == 1 and not record[0].strip()):
        return None
    elif len(record) < width or any(cell.strip() for cell in record[width:]):
        if problem := mark_of(record[0]):
            raise fault(source, problem, line)
        return f"has {_trimmed(record, width):,} cells; the header has {width:,}"
    return ""


def _trimmed(record: Record, width: int) -> int:
    count = len(record)
    while count > width and not record[count - 1].strip():
        count -= 1
    return count


def _marked(record: Record) -> str:
    """What is wrong with a row of as many cells as the header that begins as a merge marker or a comment does."""
    alone = not any(cell.strip() for cell in record[1:])
    problem = mark_of(record[0])
    return problem if alone or problem.startswith("is a merge") else ""
