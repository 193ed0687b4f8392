"""Shifts of a sample of homes: none, repetitions, or one of the changes that must be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from benchmarks.drift_error_rates.population import Homes

Shift = Callable[[Homes, np.random.Generator], Homes]

AREA_FACTOR = 1.1
MOVED_SHARE = 0.1
UPGRADED_SHARE = 0.2


def nothing(homes: Homes, _: np.random.Generator) -> Homes:
    """The homes as they are."""
    return homes


def each(times: int) -> Shift:
    """Every home this many times, and no other home."""

    def repeat(homes: Homes, _: np.random.Generator) -> Homes:
        return homes.taken(np.repeat(np.arange(len(homes)), times))

    return repeat


def larger_homes(homes: Homes, _: np.random.Generator) -> Homes:
    """Every area a tenth larger."""
    return replace(homes, numbers={**homes.numbers, "total_sqft": homes.numbers["total_sqft"] * AREA_FACTOR})


def one_more_bedroom(homes: Homes, chance: np.random.Generator) -> Homes:
    """One bedroom more in every fifth home."""
    upgraded = _chosen(len(homes), UPGRADED_SHARE, chance)
    return replace(homes, numbers={**homes.numbers, "bhk": homes.numbers["bhk"] + upgraded})


def moved_to(place: int) -> Shift:
    """Every tenth home in this one place."""

    def move(homes: Homes, chance: np.random.Generator) -> Homes:
        moved = _chosen(len(homes), MOVED_SHARE, chance)
        return replace(homes, words={**homes.words, "location": np.where(moved, place, homes.words["location"])})

    return move


def shifts(population: Homes) -> dict[str, tuple[str, Shift]]:
    """Return the shifts by name: (the feature that shifts, the shift).

    The common place has the most listings, the rare one a single one.
    """
    counts, names = population.counts("location"), population.names["location"]
    common, rare = int(counts.argmax()), int(counts.argmin())
    return {
        "area larger by a tenth": ("total_sqft", larger_homes),
        f"a tenth of the homes moved to {names[common]} (common)": ("location", moved_to(common)),
        f"a tenth of the homes moved to {names[rare]} (rare)": ("location", moved_to(rare)),
        "one bedroom more in a fifth of the homes": ("bhk", one_more_bedroom),
    }


def _chosen(rows: int, share: float, chance: np.random.Generator) -> npt.NDArray[np.bool_]:
    chosen = np.zeros(rows, dtype=bool)
    chosen[chance.choice(rows, round(rows * share), replace=False)] = True
    return chosen
