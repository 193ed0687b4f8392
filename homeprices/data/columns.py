"""Conventions of a whole column that a single cell does not reveal: the decimal comma, and the unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from homeprices.errors import DatasetRefused
from homeprices.tables.blocks import Fault
from homeprices.tables.cells import (
    comma_forms,
    has_decimal_comma,
    is_missing,
    number,
    with_decimal_point,
)
from homeprices.tables.json_rows import text_of
from homeprices.tables.units import LAKHS, SQUARE_FEET, area_factor, area_parts, lakh_factor

MIXED_SHARE = 0.01
"""In a column with points or thousands, a decimal comma in more cells than this is a second spelling, not a mistake."""

_SHOWN, _CELL_SHOWN = 3, 40

UNIT_COLUMNS = {
    "price": frozenset({"price_unit", "price_units", "unit_of_price", "price_in"}),
    "total_sqft": frozenset(
        {"area_unit", "area_units", "unit_of_area", "total_sqft_unit", "total_sqft_units", "sqft_unit", "area_in"}
    ),
}
"""Names of a column of units, by the column that it describes. A currency is no unit of a price: it names no lakh."""

Table = dict[str, list[str]]
Factor = TypeVar("Factor", float, Decimal)


def unit_columns(header: Sequence[str]) -> dict[str, str]:
    """The header's first column of units for each column that may have one: {column: column of units}.

    The names of the header are those that the reader of tables gives.
    """
    found: dict[str, str] = {}
    for name in header:
        for column, names in UNIT_COLUMNS.items():
            if name in names:
                found.setdefault(column, name)
    return found


def with_points(table: Mapping[str, list[str]], lines: Sequence[int], names: Sequence[str]) -> tuple[Table, list[str]]:
    """The table with decimal points in columns that must have decimal commas, and a sentence for each such column.

    Raises DatasetRefused, with the first lines, when a column has both.
    """
    notes, changed = [], dict(table)
    for name in names:
        cells = table[name]
        if not any("," in cell for cell in cells):
            continue
        forms = comma_forms(part for cell in cells for part in _numbers_of(name, cell))
        commas = [(line, cell) for line, cell in zip(lines, cells, strict=True) if _has_decimal(name, cell)]
        if forms.is_decimal:
            changed[name] = [_pointed(name, cell) for cell in cells]
            notes.append(f"{name}: a decimal comma in {len(commas):,} cells, read as one; first {_places(commas)}")
        elif forms.decimal and (name != "total_sqft" or len(commas) > MIXED_SHARE * len(cells)):
            others = [
                (line, cell)
                for line, cell in zip(lines, cells, strict=True)
                if not _has_decimal(name, cell) and ("," in cell or "." in cell)
            ]
            raise DatasetRefused(
                {
                    name: f"a decimal comma in {len(commas):,} cells ({_places(commas)}), but a point or a comma "
                    f"between thousands in others ({_places(others)}); expected one form in the whole column"
                }
            )
    return changed, notes


def _numbers_of(name: str, cell: str) -> tuple[str, ...]:
    if name != "total_sqft":
        return (cell,)
    parts = area_parts(cell)
    return parts[:-1] if parts else ()


def _has_decimal(name: str, cell: str) -> bool:
    return "," in cell and any(has_decimal_comma(part) for part in _numbers_of(name, cell))


def _pointed(name: str, cell: str) -> str:
    if not _has_decimal(name, cell):
        return cell
    parts = area_parts(cell) if name == "total_sqft" else (cell, "")
    assert parts is not None, "only an area has a decimal comma here"
    return " - ".join(with_decimal_point(part) for part in parts[:-1]) + parts[-1]


def with_units(
    table: Mapping[str, list[str]], lines: Sequence[int], units: Mapping[str, str]
) -> tuple[Table, list[str]]:
    """The table with prices in lakh and areas with their unit, by the columns of units, and a sentence for each.

    Raises DatasetRefused, with the first lines, when a unit is unknown.
    """
    notes, changed = [], dict(table)
    for name, column in units.items():
        if name == "price":
            factors = _factors(column, table[column], lines, lakh_factor, LAKHS)
            changed[name] = [
                cell if (value := number(cell)) is None else _plain(Decimal(repr(value)) * factors[unit])
                for cell, unit in zip(table[name], table[column], strict=True)
            ]
        else:
            _factors(column, table[column], lines, area_factor, SQUARE_FEET)
            changed[name] = [
                cell if is_missing(unit) or not (parts := area_parts(cell)) or parts[-1] else f"{cell} {unit}"
                for cell, unit in zip(table[name], table[column], strict=True)
            ]
        counts = Counter("no unit" if is_missing(unit) else unit[:_CELL_SHOWN] for unit in table[column])
        said = ", ".join(f"{unit} {count:,}" for unit, count in counts.most_common())
        notes.append(f"{column}: honoured as the unit of {name} ({said})")
    return changed, notes


def in_square_feet(areas: Sequence[Any], units: Sequence[Any], column: str) -> tuple[list[Any], dict[int, Fault]]:
    """Areas in square feet by the units beside them, as `with_units` reads them, and the rows of an unknown unit.

    An area that is no number stays as it is.
    """
    factors: dict[Any, float | None] = {}
    converted: list[Any] = []
    faults: dict[int, Fault] = {}
    for position, (area, unit) in enumerate(zip(areas, units, strict=True)):
        if unit not in factors:
            factors[unit] = area_factor(text_of(unit))
        if (factor := factors[unit]) is None:
            faults[position] = (
                column,
                f"expected a unit ({_named(SQUARE_FEET)}) or nothing; found {str(unit)[:_CELL_SHOWN]!r}",
            )
        value = number(text_of(area)) if factor not in (None, 1.0) else None
        converted.append(area if value is None or factor is None else value * factor)
    return converted, faults


def _named(known: Mapping[str, object]) -> str:
    return ", ".join(name for name in known if name)


def _factors(
    column: str,
    units: Sequence[str],
    lines: Sequence[int],
    factor: Callable[[str], Factor | None],
    known: Mapping[str, object],
) -> dict[str, Factor]:
    factors = {unit: factor(unit) for unit in set(units)}
    unknown = [(line, unit) for line, unit in zip(lines, units, strict=True) if factors[unit] is None]
    if unknown:
        raise DatasetRefused({column: f"expected a unit ({_named(known)}) or nothing; found {_places(unknown)}"})
    return {unit: value for unit, value in factors.items() if value is not None}


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _places(cells: Sequence[tuple[int, str]]) -> str:
    shown = ", ".join(f"line {line}: {cell[:_CELL_SHOWN]!r}" for line, cell in cells[:_SHOWN])
    return shown + (f" and {len(cells) - _SHOWN:,} more" if len(cells) > _SHOWN else "")
