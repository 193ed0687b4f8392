"""Homes unlike those that a model was trained on. An estimate of one is marked, and no coverage is claimed for it."""

from __future__ import annotations

from collections.abc import Mapping

from homeprices.pricing.home import Home
from homeprices.pricing.inputs import AREA, BATHS, BEDROOMS, INPUT, NUMBERS
from homeprices.tables.units import AREA_A_BEDROOM, BATHS_A_BEDROOM


def unusual_inputs(home: Home, ranges: Mapping[str, tuple[float, float]]) -> dict[str, str]:
    """Return what is unusual about a home, a sentence by input; empty for an ordinary home.

    `ranges` holds the smallest and the largest value of each number in training.
    """
    area, bedrooms, baths = getattr(home, AREA), getattr(home, BEDROOMS), getattr(home, BATHS)
    counted = _counted(BEDROOMS, bedrooms)
    found = {}
    if not AREA_A_BEDROOM[0] <= area / bedrooms <= AREA_A_BEDROOM[1]:
        found[AREA] = f"{area:,.12g} square feet with {counted}: homes have {_range(AREA_A_BEDROOM)} each"
    if not BATHS_A_BEDROOM[0] <= baths / bedrooms <= BATHS_A_BEDROOM[1]:
        found[BATHS] = f"{_counted(BATHS, baths)} with {counted}: homes have {_range(BATHS_A_BEDROOM)} for each bedroom"
    for name in NUMBERS:
        value = getattr(home, name)
        if value is None or name in found or name not in ranges:
            continue
        low, high = ranges[name]
        if not low <= value <= high:
            unit = INPUT[name].unit or INPUT[name].noun
            found[name] = f"{value:,.12g} {unit}: the model has seen {_range(ranges[name])}"
    return found


def _counted(name: str, number: float) -> str:
    noun = INPUT[name].noun
    return f"{number:,.12g} {noun.removesuffix('s') if number == 1 else noun}"


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:,.6g} to {limits[1]:,.6g}"
