"""Reads a table of homes from CSV, JSON lines, JSON or Parquet in blocks of rows, by one set of rules for all callers.

The content decides about the format, not the name. A file that is no table raises DatasetRefused (MalformedTable when
it cannot be read), whose only field is the file's name, with line, column and problem. A row that does not fit (cells
too many, no JSON object, a key given twice) is a fault of its row: batches refuse the row, all others the file.
pyarrow is imported for Parquet only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from homeprices.errors import DatasetRefused
from homeprices.foreign_text import printable
from homeprices.tables.csv_rows import (
    DELIMITERS,
    MOST_COLUMNS,
    Csv,
    check_names,
    name_of,
    open_csv,
)
from homeprices.tables.json_rows import FlatObjects, Row, json_lines, json_list
from homeprices.tables.lines import BLOCK_BYTES, EXPECTED, Lines, SeekableFile, refusal
from homeprices.tables.parquet_rows import MAGIC, Parquet, read_parquet

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["csv", "ndjson", "json", "parquet"]
Fault = tuple[str, str]
"""A column, or `row`, and what is wrong with it."""

BLOCK_ROWS = 32_768
FAULTS_SHOWN = 3
FIELDS_SHOWN = 10
ROW = "row"
INPUTS = "inputs"
"""The one column that may hold objects: the home of a logged request."""

LOGGED = "logs"
"""The member of `/api/logs` that holds the rows."""

_HEAD_BYTES = 4096
_SHOWN = 40
_WRAPPED = re.compile(rf'\s*\{{[^\[\]{{}}]*"{LOGGED}"\s*:\s*(?=\[)')


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows in the order of the file. `first_row` is the number of the first one in the file, from 0.

    A cell is text in CSV; in JSON and Parquet it has its own type. `faults` are by position in the block; the cells of
    such a row are missing.
    """

    first_row: int
    lines: Sequence[int]
    """Where each row begins, from 1; the number of the row in Parquet, which has no lines."""
    names: tuple[str, ...]
    faults: Mapping[int, Fault] = field(default_factory=dict)
    columns: Mapping[str, Sequence[Any]] | None = None
    objects: list[dict[str, Any]] | None = None
    alike: bool = False
    """Whether all objects have the same keys."""
    batch: pa.RecordBatch | None = None

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str) -> Sequence[Any]:
        """The cells of a column; those of an absent key are None."""
        if self.columns is not None:
            return self.columns[name]
        if self.objects is not None:
            return [*map(itemgetter(name), self.objects)] if self.alike else [row.get(name) for row in self.objects]
        assert self.batch is not None
        cells: list[Any] = self.batch.column(name).to_pylist()
        return cells

    def rows(self) -> list[dict[str, Any]]:
        """Each row as a mapping from its column names to its cells."""
        if self.objects is not None:
            return self.objects
        columns = [self.column(name) for name in self.names]
        return [dict(zip(self.names, cells, strict=True)) for cells in zip(*columns, strict=True)]


@dataclass(frozen=True, eq=False)
class Table:
    """An open table. `names` are those of the header; JSON has none, so its blocks say which keys they hold."""

    source: str
    format: Format
    blocks: Iterator[Block]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader has detected by itself, such as semicolons between cells; a sentence each."""

    def require(self, names: Collection[str], found: Collection[str] | None = None) -> None:
        """Raise DatasetRefused when a column is missing."""
        held = self.names if found is None else found
        if missing := [name for name in names if name not in held]:
            shown = ", ".join(name[:_SHOWN] for name in list(held)[:20]) or "none"
            line = 1 if self.format == "csv" else None
            raise refusal(self.source, f"has no column {', '.join(missing)}; found {shown}", line)


def open_table(
    file: SeekableFile,
    source: str,
    known: Collection[str] = (),
    *,
    hints: Collection[str] = (),
    format: Format | None = None,
    groups: Sequence[int] | None = None,
    block_rows: int = BLOCK_ROWS,
    block_bytes: int = BLOCK_BYTES,
) -> Table:
    """Open the table of a seekable file; iterating over its blocks reads the rows.

    `source` names the file in faults. Of Parquet, only the columns in `known` are read, and only the row `groups`, if
    given. The separator of CSV is the one that yields names of `known` or `hints`. Raises DatasetRefused.
    """
    head = file.read(_HEAD_BYTES) or b""
    if format is None and head.startswith(MAGIC):
        file.seek(0)
        return _parquet(read_parquet(file, source, known, {*known, *hints} - {INPUTS}, groups, block_rows))
    if not head.strip():
        raise refusal(source, f"is empty; {EXPECTED}")
    lines = Lines(file, source, head, block_bytes=block_bytes)
    if format is None:
        start = re.sub(rb"^(\xef\xbb\xbf|\xff\xfe|\xfe\xff)+", b"", head).replace(b"\0", b"").lstrip()
        opens = start[:1]
        format = "json" if opens == b"[" or _WRAPPED.match(start.decode("latin-1")) else None
        format = format or ("ndjson" if opens == b"{" else "csv")
    if format == "csv":
        return _csv(lines, {*known, *hints}, block_rows)
    read = json_list(lines, wrapped=_WRAPPED) if format == "json" else json_lines(lines)
    return Table(source, format, _objects(source, read, {*known, *hints}, block_rows))


def _csv(lines: Lines, known: Collection[str], block_rows: int) -> Table:
    source, opened = lines.source, open_csv(lines, known, block_rows)
    check_names(source, opened.header, opened.line)
    notes = () if opened.delimiter == "," else (f"{source}: cells are separated by {DELIMITERS[opened.delimiter]}",)
    names = tuple(name for name in opened.header if name)
    return Table(source, "csv", _records(opened), names, notes)


def _records(opened: Csv) -> Iterator[Block]:
    places = [(place, name) for place, name in enumerate(opened.header) if name]
    names, row = tuple(name for _, name in places), 0
    for chunk in opened.chunks:
        if not chunk.lines:
            continue
        faults = {position: (ROW, problem) for position, problem in chunk.problems.items()}
        yield Block(row, chunk.lines, names, faults, columns={name: chunk.columns[place] for place, name in places})
        row += len(chunk.lines)


def _objects(
    source: str, read: Iterator[Row | FlatObjects], known: Collection[str], block_rows: int
) -> Iterator[Block]:
    held = _Held(0)
    for found in read:
        flat = isinstance(found, FlatObjects)
        lines, objects = (found.lines, found.objects) if isinstance(found, FlatObjects) else ([found[0]], [found[1]])
        wrong = None if isinstance(found, FlatObjects) else found[2]
        start = 0
        while start < len(objects):
            end = start + block_rows - len(held.objects)
            if not (flat and held.take(lines[start:end], objects[start:end])):
                for line, value in zip(lines[start:end], objects[start:end], strict=True):
                    held.add(source, known, line, value, wrong)
            start = end
            if len(held.objects) == block_rows:
                yield held.block()
                held = _Held(held.row + block_rows)
    if held.objects:
        yield held.block()


class _Held:
    """The rows of a block of objects while it is read."""

    def __init__(self, row: int) -> None:
        self.row, self.objects = row, list[dict[str, Any]]()
        self._lines, self._faults = list[int](), dict[int, Fault]()
        self._keys, self._names = set[tuple[str, ...]](), dict[str, None]()

    def take(self, lines: Sequence[int], flat: list[dict[str, Any]]) -> bool:
        """Whether these rows are taken as they are: their keys are names of columns, and not too many."""
        keys = dict.fromkeys(map(tuple, flat))
        names = self._names | dict.fromkeys(chain.from_iterable(keys))
        if len(names) > MOST_COLUMNS or not all(_names_of(one) is None for one in keys):
            return False
        self._keys.update(keys)
        self._names = names
        self.objects += flat
        self._lines += lines
        return True

    def add(self, source: str, known: Collection[str], line: int, value: Any, wrong: Fault | None) -> None:
        """Take one row. Raises DatasetRefused for the name that is one too many."""
        named, wrong = ({}, wrong) if wrong else _named(value)
        if not _PLAIN.issuperset(map(type, named.values())) and (wrong := _nested(named, known)):
            named = {}
        if wrong:
            self._faults[len(self.objects)] = wrong
        if (keys := tuple(named)) not in self._keys:
            self._keys.add(keys)
            self._names |= dict.fromkeys(keys)
        self.objects.append(named)
        self._lines.append(line)
        if len(self._names) > MOST_COLUMNS:
            raise refusal(source, f"has more than {MOST_COLUMNS:,} columns", line)

    def block(self) -> Block:
        """The block of the rows."""
        alike = len(self._keys) == 1
        return Block(self.row, self._lines, tuple(self._names), self._faults, objects=self.objects, alike=alike)


_PLAIN = frozenset({str, int, float, bool, type(None)})


def _nested(named: dict[str, Any], known: Collection[str]) -> Fault | None:
    """What is wrong with an object of which a known cell is a list or an object."""
    for name, cell in named.items():
        if type(cell) not in _PLAIN and name in known and name != INPUTS:
            return name, f"must be a word or a number, not {printable(json.dumps(cell), _SHOWN)}"
    return None


def _named(value: Any) -> tuple[dict[str, Any], Fault | None]:
    if not isinstance(value, dict):
        return {}, (ROW, "must be a JSON object")
    if len(value) > MOST_COLUMNS:
        first = ", ".join(printable(name) for name in [*value][:FIELDS_SHOWN])
        return {}, (ROW, f"has {len(value):,} fields, at most {MOST_COLUMNS:,} are taken; the first are {first}")
    names = _names_of(tuple(value))
    if names is None:
        return value, None
    if len({*names}) != len(names):
        return {}, (next(name for name in names if names.count(name) > 1), "is given more than once")
    return dict(zip(names, value.values(), strict=True)), None


@lru_cache(maxsize=256)
def _names_of(keys: tuple[str, ...]) -> tuple[str, ...] | None:
    """The names of an object's keys; None when they are the keys."""
    names = tuple(name_of(key) for key in keys)
    return None if names == keys else names


def _parquet(opened: Parquet) -> Table:
    def blocks() -> Iterator[Block]:
        for row, batch in opened.batches:
            lines = range(row + 1, row + 1 + batch.num_rows)
            yield Block(row, lines, tuple(batch.schema.names), batch=batch)

    return Table(opened.source, "parquet", blocks(), opened.names)


@dataclass(frozen=True, eq=False)
class Whole:
    """All rows of a table: the cells of each known column by name, and the line of each row."""

    format: Format
    columns: dict[str, list[Any]]
    lines: list[int]
    ignored: tuple[str, ...]
    notes: tuple[str, ...]


def read_whole(file: SeekableFile, source: str, known: Collection[str], required: Collection[str] = ()) -> Whole:
    """Read all rows of a table. Without `known` names every column is kept.

    Raises DatasetRefused, also for a row that does not fit: the first lines of such rows are named.
    """
    table = open_table(file, source, known, hints=required)
    if table.names:
        table.require(required)
    columns: dict[str, list[Any]] = {name: [] for name in table.names if not known or name in known}
    lines: list[int] = []
    seen = dict.fromkeys(table.names)
    texts: dict[Any, Any] = {}
    wrong: list[str] = []
    count = 0
    for block in table.blocks:
        count += len(block.faults)
        for position, (column, problem) in list(block.faults.items())[: FAULTS_SHOWN - len(wrong)]:
            place = f"line {block.lines[position]}" + ("" if column == ROW else f", column {column[:_SHOWN]}")
            wrong.append(f"{place}: {problem}")
        seen |= dict.fromkeys(block.names)
        for name in block.names:
            if (not known or name in known) and name not in columns:
                columns[name] = [None] * len(lines)
        for name, cells in columns.items():
            held = block.column(name) if name in block.names else [None] * len(block)
            # One text object for all its repetitions: a listing shares most of its cells with others.
            cells.extend(texts.setdefault(cell, cell) if type(cell) is str else cell for cell in held)
        if len(texts) > 1_000_000:
            texts.clear()
        lines.extend(block.lines)
    if wrong and (columns or not table.names):  # rows below a header without a known name are not what is wrong
        more = f" and {count - len(wrong):,} more rows" if count > len(wrong) else ""
        raise DatasetRefused({source: "; ".join(wrong) + more})
    table.require(required, seen)
    ignored = tuple(name for name in seen if name not in columns)
    return Whole(table.format, columns, lines, ignored, table.notes)
