"""Blocks of rows, and how the objects of a JSON file become rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from homeprices.foreign_text import printable
from homeprices.tables.csv_rows import MOST_COLUMNS, name_of
from homeprices.tables.json_rows import ManyRows, Row
from homeprices.tables.lines import refusal
from homeprices.tables.many_objects import FLAT

if TYPE_CHECKING:
    import pyarrow as pa

Fault = tuple[str, str]
"""A column, or `row`, and what is wrong with it."""

FIELDS_SHOWN = 10
ROW = "row"
INPUTS = "inputs"
"""The one column that may hold objects: the home of a logged request."""

_SHOWN = 40


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


def object_blocks(
    source: str, read: Iterator[Row | ManyRows], known: Collection[str], block_rows: int
) -> Iterator[Block]:
    """Blocks of at most `block_rows` rows that are JSON values. Raises DatasetRefused for too many columns."""
    held = _Held(0)
    for found in read:
        if isinstance(found, ManyRows):
            lines, objects, wrong, flat = found.lines, found.objects, None, found.flat
        else:
            lines, objects, wrong, flat = [found[0]], [found[1]], found[2], False
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
        if not FLAT.issuperset(map(type, named.values())) and (wrong := _nested(named, known)):
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


def _nested(named: dict[str, Any], known: Collection[str]) -> Fault | None:
    """What is wrong with an object of which a known cell is a list or an object."""
    for name, cell in named.items():
        if type(cell) not in FLAT and name in known and name != INPUTS:
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
