"""Homes unlike those that a model was trained on. An estimate of one is marked, and no coverage is claimed for it."""

from __future__ import annotations

from collections.abc import Mapping

from homeprices.pricing.home import Home
from homeprices.pricing.inputs import INPUT, NUMBERS
from homeprices.tables.quantities import TOGETHER


def unusual_inputs(home: Home, ranges: Mapping[str, tuple[float, float]]) -> dict[str, str]:
    """Return what is unusual about a home, a sentence by input; empty for an ordinary home.

    `ranges` holds the smallest and the largest value of each number in training.
    """
    found = {}
    for name, by, limits, sentence in TOGETHER:
        one, other = getattr(home, name), getattr(home, by)
        if not limits[0] <= one / other <= limits[1]:
            found[name] = sentence.format(
                one=f"{one:,.12g}", counted=_counted(name, one), other=_counted(by, other), limits=_range(limits)
            )
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
