"""The units of a column, which a column of units beside it names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from homeprices.errors import DatasetRefused
from homeprices.tables.blocks import Fault
from homeprices.tables.cells import is_missing, number
from homeprices.tables.commas import Places
from homeprices.tables.json_rows import text_of
from homeprices.tables.quantities import UNIT_COLUMNS
from homeprices.tables.units import LAKHS, SQUARE_FEET, area_factor, area_parts, lakh_factor

_CELL_SHOWN = 40

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


def converted_areas(areas: Sequence[Any], units: Sequence[Any], column: str) -> tuple[list[Any], dict[int, Fault]]:
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
    unknown = Places()
    for line, unit in zip(lines, units, strict=True):
        if factors[unit] is None:
            unknown.add(line, unit)
    if unknown.count:
        raise DatasetRefused({column: f"expected a unit ({_named(known)}) or nothing; found {unknown}"})
    return {unit: value for unit, value in factors.items() if value is not None}


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
