"""Areas as people write them, in square feet."""

from __future__ import annotations

import re

# Square feet in one of each. A guntha is 121 square yards, a cent 1/100 acre, a perch 272.25, a ground (Chennai) 2,400.
SQUARE_FEET = {
    "sqmeter": 10.763910417,
    "sqyards": 9.0,
    "acres": 43_560.0,
    "guntha": 1_089.0,
    "cents": 435.6,
    "perch": 272.25,
    "grounds": 2_400.0,
    "sqft": 1.0,
    "": 1.0,
}

_NUMBER = r"([0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+)"
_AREA = re.compile(rf"{_NUMBER}\s*(?:-\s*{_NUMBER}\s*)?([a-z. ]*)")


def parse_area(text: str) -> float | None:
    """Square feet of `1200`, `1056 - 1200` (the middle), `34.46Sq. Meter`, `2.09Acres`; None of anything else."""
    found = _AREA.fullmatch(text.strip().lower())
    if not found:
        return None
    low, high, unit = found.groups()
    unit = re.sub(r"[. ]", "", unit)
    factor = SQUARE_FEET.get(unit) or SQUARE_FEET.get(f"{unit}s")
    if factor is None:
        return None
    numbers = [float(number.replace(",", "")) for number in (low, high) if number]
    area = sum(numbers) / len(numbers) * factor
    return area if area > 0 else None
