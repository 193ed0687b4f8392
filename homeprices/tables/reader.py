"""Reads a table of homes from CSV, JSON lines, JSON or Parquet in blocks of rows, by one set of rules for all callers.

The content decides about the format, not the name. A file that is no table raises DatasetRefused (MalformedTable when
it cannot be read), whose only field is the file's name, with line, column and problem. A row that does not fit (cells
too many, no JSON object, a key given twice) is a fault of its row: batches refuse the row, all others the file.
pyarrow is imported for Parquet only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from homeprices.errors import DatasetRefused
from homeprices.tables.blocks import INPUTS, ROW, Block, object_blocks
from homeprices.tables.csv_rows import (
    DELIMITERS,
    Csv,
    check_names,
    open_csv,
)
from homeprices.tables.json_rows import json_lines, json_list
from homeprices.tables.lines import BLOCK_BYTES, EXPECTED, Lines, SeekableFile, refusal
from homeprices.tables.parquet_rows import MAGIC, Parquet, read_parquet

Format = Literal["csv", "ndjson", "json", "parquet"]

BLOCK_ROWS = 32_768
FAULTS_SHOWN = 3

LOGGED = "logs"
"""The member of `/api/logs` that holds the rows."""

_HEAD_BYTES = 4096
_SHOWN = 40
_WRAPPED = re.compile(rf'\s*\{{[^\[\]{{}}]*"{LOGGED}"\s*:\s*(?=\[)')


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
    return Table(source, format, object_blocks(source, read, {*known, *hints}, block_rows))


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
