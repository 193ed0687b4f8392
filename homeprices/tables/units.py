"""Quantities with a unit: areas in square feet, prices in lakh rupees, bedrooms of a size.

The unit is in the cell (`34.46Sq. Meter`) or in a column of units (`price_unit`: Cr, Lac, K).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from homeprices.tables.cells import has_plain_digits, is_missing, key_of, number

# Square feet in one of each. A guntha is 121 square yards, a cent 1/100 acre, a perch 272.25, a ground (Chennai) 2,400.
SQUARE_FEET = {
    **dict.fromkeys(("sqmeter", "sqmetre", "sqm", "sqmt", "sqmtr", "squaremeter", "squaremetre", "m2"), 10.763910417),
    **dict.fromkeys(("sqyards", "sqyard", "sqyd", "sqyrd", "squareyard", "gaj", "yd2"), 9.0),
    **dict.fromkeys(("sqft", "sft", "sqfeet", "squarefeet", "squarefoot", "ft2", ""), 1.0),
    "acres": 43_560.0,
    "hectares": 107_639.10417,
    "guntha": 1_089.0,
    "cents": 435.6,
    "perch": 272.25,
    "grounds": 2_400.0,
}

LAKHS: Mapping[str, Decimal] = {
    **dict.fromkeys(("lakh", "lakhs", "lac", "lacs", "lk", "l", "lakh rupees", ""), Decimal(1)),
    **dict.fromkeys(("crore", "crores", "cr", "crs"), Decimal(100)),
    **dict.fromkeys(("thousand", "thousands", "k"), Decimal("0.01")),
    **dict.fromkeys(("million", "millions", "mn"), Decimal(10)),
    **dict.fromkeys(("rs", "re", "rupee", "rupees", "inr", "₹"), Decimal("0.00001")),
}
"""Lakh rupees in one of each unit of a price. A blank unit is the dataset's own, lakh."""

LONGEST_QUANTITY = 100
"""Characters of a trimmed cell that may be an area or a size."""

_NUMBER = r"(\+?[0-9.][0-9.,]*(?:e[+-]?[0-9]{1,2})?)"
_AREA = re.compile(rf"{_NUMBER}\s*(?:-\s*{_NUMBER}\s*)?([a-z0-9. ]*)")
_SQUARED = re.compile(r"(?<=[a-zA-Z])²")  # of a unit
_SIZE = re.compile(r"([0-9]{1,3})(?:\s*(?:bhk|bedrooms?|rk)|(?:\.0*)?)")
_IN_FRONT = re.compile(r"(?:(?:rs|inr|rupees) |₹ ?)?(?:in )?(?=.)")  # of lakh or crore


def parse_area(text: str) -> float | None:
    """Square feet of `1200`, `1056 - 1200` (the middle), `34.46Sq. Meter`, `2.09Acres`; None of anything else."""
    parts = area_parts(text)
    if parts is None:
        return None
    *texts, unit = parts
    factor = area_factor(unit)
    numbers = [number(one) for one in texts]
    if factor is None or None in numbers:
        return None
    area = sum(value for value in numbers if value is not None) / len(numbers) * factor
    return area if area > 0 else None


def area_parts(text: str) -> tuple[str, ...] | None:
    """One or two numbers as text, and the unit (without capitals); None when the text has another form."""
    found = _AREA.fullmatch(_key(_SQUARED.sub("2", text)))
    return (*(part for part in found.groups()[:2] if part), found[3]) if found else None


def area_factor(unit: str) -> float | None:
    """Square feet in one of the unit, `Sq. Meter`, say; 1 for no unit, None for an unknown one."""
    if is_missing(unit):
        return 1.0
    key = re.sub(r"[. ]", "", key_of(unit))
    return next((SQUARE_FEET[one] for one in (key, f"{key}s", key.removesuffix("s")) if one in SQUARE_FEET), None)


def lakh_factor(unit: str) -> Decimal | None:
    """Lakh rupees in one of the unit, `Cr`, say; 1 for no unit, None for an unknown one."""
    if is_missing(unit):
        return Decimal(1)
    key = " ".join(re.sub(r"[.()]", " ", key_of(unit)).split())
    return LAKHS.get(key) or LAKHS.get(_IN_FRONT.sub("", key, count=1))


def bedrooms(text: str) -> float | None:
    """The bedrooms of `3 BHK`, `4 Bedroom`, `1 RK`, and of a whole number alone (`3`, `3.0`); None of anything else."""
    found = _SIZE.fullmatch(_key(text))
    return float(found[1]) if found and int(found[1]) > 0 else None


def _key(text: str) -> str:
    """The key of a text that may be a quantity, '' of any other."""
    text = text.strip()
    return key_of(text) if len(text) <= LONGEST_QUANTITY and has_plain_digits(text) else ""
