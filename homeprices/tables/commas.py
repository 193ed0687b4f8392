"""Decimal commas in a column of numbers: only the column as a whole shows whether `1,200` is a thousand or one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeprices.errors import DatasetRefused
from homeprices.tables.cells import CommaForms, comma_forms, has_decimal_comma, with_decimal_point
from homeprices.tables.json_rows import text_of
from homeprices.tables.quantities import RANGED
from homeprices.tables.units import area_parts

MIXED_SHARE = 0.01
"""In a column with points or thousands, a decimal comma in more cells than this is a second spelling, not a mistake."""

_PLACES_SHOWN, _CELL_SHOWN = 3, 40


def with_points(
    table: Mapping[str, list[str]], lines: Sequence[int], names: Sequence[str]
) -> tuple[dict[str, list[str]], list[str]]:
    """The table with decimal points in columns that must have decimal commas, and a sentence for each such column.

    Raises DatasetRefused, with the first lines, when a column has both.
    """
    notes, changed = [], dict(table)
    for name in names:
        if has_commas(name, table[name]):
            column = CommaColumn(name)
            column.add(table[name], lines)
            if note := column.judge():
                notes.append(note)
                changed[name] = [pointed(name, cell) for cell in table[name]]
    return changed, notes


def text_of_number(cell: Any) -> str:
    """A cell of a column of numbers as CSV would have it; '' for one that is neither text nor has a decimal point."""
    if isinstance(cell, str):
        return cell.strip()
    return text_of(cell) if isinstance(cell, float) else ""


def has_commas(name: str, cells: Sequence[str]) -> bool:
    """Whether a cell of a column of numbers has a comma that can only be a decimal one."""
    return any("," in cell and _has_decimal(name, cell) for cell in cells)


class CommaColumn:
    """The forms of the numbers in a column, whose blocks are added one after the other."""

    def __init__(self, name: str) -> None:
        self._name, self._cells = name, 0
        self._forms = CommaForms(0, 0)
        self._commas, self._others = Places(), Places()

    def add(self, cells: Sequence[str], lines: Sequence[int]) -> None:
        """Count some cells of the column."""
        self._cells += len(cells)
        for line, cell in zip(lines, cells, strict=True):
            if "," in cell or "." in cell:
                forms = comma_forms(_numbers_of(self._name, cell))
                self._forms = CommaForms(self._forms.decimal + forms.decimal, self._forms.other + forms.other)
                (self._commas if forms.decimal else self._others).add(line, cell)

    def judge(self) -> str:
        """Return a sentence when the column has decimal commas; '' when it has none, or few beside other forms.

        Raises DatasetRefused, with the first lines, when it has both.
        """
        if self._forms.is_decimal:
            return f"{self._name}: a decimal comma in {self._commas.count:,} cells, read as one; first {self._commas}"
        if self._commas.count > MIXED_SHARE * self._cells:
            raise DatasetRefused(
                {
                    self._name: f"a decimal comma in {self._commas.count:,} cells ({self._commas}), but a point or a "
                    f"comma between thousands in others ({self._others}); expected one form in the whole column"
                }
            )
        return ""


def _numbers_of(name: str, cell: str) -> tuple[str, ...]:
    if name not in RANGED:
        return (cell,)
    parts = area_parts(cell)
    return parts[:-1] if parts else ()


def _has_decimal(name: str, cell: str) -> bool:
    return "," in cell and any(has_decimal_comma(part) for part in _numbers_of(name, cell))


def pointed(name: str, cell: str) -> str:
    """A cell of a column that has decimal commas (`CommaColumn.judge`), with a decimal point."""
    if not _has_decimal(name, cell):
        return cell
    parts = area_parts(cell) if name in RANGED else (cell, "")
    assert parts is not None, "only an area has a decimal comma here"
    return " - ".join(with_decimal_point(part) for part in parts[:-1]) + parts[-1]


class Places:
    """Cells of a column: the first ones with their lines, and how many there are."""

    def __init__(self) -> None:
        self.count, self._first = 0, list[str]()

    def add(self, line: int, cell: str) -> None:
        """Add the next cell."""
        self.count += 1
        if len(self._first) < _PLACES_SHOWN:
            self._first.append(f"line {line}: {cell[:_CELL_SHOWN]!r}")

    def __str__(self) -> str:
        more = f" and {self.count - _PLACES_SHOWN:,} more" if self.count > _PLACES_SHOWN else ""
        return ", ".join(self._first) + more
