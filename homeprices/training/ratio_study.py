"""The ratio study of assessors: level, uniformity and fairness between cheap and dear homes.

A ratio is an estimate divided by the price. Source of the statistics and of their ranges: International Association of
Assessing Officers, Standard on Ratio Studies (2013), tables 1-3 and appendix B. The standard judges appraisals against
prices of sales; the prices here are what sellers asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from homeprices.model.feature_matrix import Prices
from homeprices.training.regression_metrics import bootstrap, terciles
from homeprices.words import APPRAISALS, ITEMS

RANGES: dict[str, tuple[float, float]] = {
    "median_ratio": (0.90, 1.10),
    "cod": (5.0, 15.0),
    "prd": (0.98, 1.03),
    "prb": (-0.05, 0.05),
}
"""IAAO's acceptable values by statistic; of COD, those of older and of unlike single-family homes."""

INPUTS = {"form": "Form fields", "full": "All inputs"}
"""Titles of the studies of a model, by the inputs of its estimates."""

TITLES = {"median_ratio": "median ratio", "cod": "COD", "prd": "PRD", "prb": "PRB"}

EXPLANATION = (
    "A ratio is an estimate divided by the price. COD is the mean distance of the ratios from their median, in "
    f"percent. A PRD above 1 or a PRB below 0 means that dear {ITEMS} are estimated too low beside cheap ones. "
    f"Brackets in the head hold what the assessors' association (IAAO, Standard on Ratio Studies, 2013) accepts of "
    f"{APPRAISALS}; brackets in the rows hold 95 % intervals by bootstrap. IAAO compares with prices of "
    "sales; these are asking prices. Chance alone raises the ratios of the cheap third and lowers those of the dear "
    "third."
)

LEAST_HOMES = 10
"""A group of fewer homes has no statistics."""


@dataclass(frozen=True)
class RatioStudy:
    """The statistics of one group of homes by name, each with its 95 % interval."""

    homes: str
    count: int
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    def compared(self) -> dict[str, str]:
        """Return for each statistic whether its interval lies within IAAO's range, outside of it, or partly."""
        return {name: _compared(self.intervals[name], RANGES[name]) for name in RANGES}


def statistics(prices: Prices, estimates: Prices) -> dict[str, float]:
    """Return the median ratio, COD in percent, PRD and PRB.

    COD (coefficient of dispersion) is the mean distance from the median ratio in percent of it. PRD (price-related
    differential) is the mean ratio divided by the ratio of the sums: above 1, dear homes are estimated too low. PRB
    (price-related bias) is the relative change of the ratio when the value doubles: below 0, dear homes are estimated
    too low.
    """
    ratios = estimates / prices
    median = float(np.median(ratios))
    value = np.log2(0.5 * prices + 0.5 * estimates / median)
    centred = value - value.mean()
    spread = float(centred @ centred)
    return {
        "median_ratio": median,
        "cod": 100 * float(np.mean(np.abs(ratios - median))) / median,
        "prd": float(ratios.mean() / (estimates.sum() / prices.sum())),
        "prb": float(centred @ (ratios - median)) / median / spread if spread else 0.0,
    }


def ratio_study(prices: Prices, estimates: Prices, seed: int) -> list[RatioStudy]:
    """Return the study of all homes and of each third by price; without groups that are too small.

    Chance alone raises the ratios of the cheap third and lowers those of the dear third, because a home whose price is
    low for what it is belongs to the cheap one.
    """
    return [
        RatioStudy(
            name,
            len(of_group),
            statistics(of_group, estimated),
            bootstrap(of_group, estimated, seed, measured=statistics),
        )
        for name, of_group, estimated in _groups(prices, estimates)
        if len(of_group) >= LEAST_HOMES
    ]


def verdict(studies: list[RatioStudy]) -> str:
    """Return where the intervals of all homes lie against IAAO's ranges, as a sentence."""
    if not studies:
        return f"fewer than {LEAST_HOMES} {ITEMS} are too few for a ratio study."
    found = ", ".join(f"{TITLES[name]} {where}" for name, where in studies[0].compared().items())
    return f"of all {ITEMS}, the intervals lie against IAAO's ranges as follows: {found}."


def as_json(studies: list[RatioStudy]) -> list[dict[str, Any]]:
    """Return the studies as they are stored in `validation.json`."""
    return [asdict(study) for study in studies]


def as_text(study: RatioStudy) -> tuple[str, ...]:
    """Return the row of a study in a table: group, count, and each statistic with its interval."""
    return (study.homes, str(study.count), *(_with_interval(study, name) for name in RANGES))


def head() -> tuple[str, ...]:
    """Return the head of that table, with IAAO's ranges."""
    ranges = (f"{TITLES[name]} ({low:g} to {high:g})" for name, (low, high) in RANGES.items())
    return (ITEMS, "count", *ranges)


def _compared(interval: tuple[float, float], accepted: tuple[float, float]) -> str:
    if accepted[0] <= interval[0] and interval[1] <= accepted[1]:
        return "within"
    return "outside" if interval[1] < accepted[0] or interval[0] > accepted[1] else "partly outside"


def _with_interval(study: RatioStudy, name: str) -> str:
    digits = 1 if name == "cod" else 3
    value, (low, high) = study.values[name], study.intervals[name]
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _groups(prices: Prices, estimates: Prices) -> Iterator[tuple[str, Prices, Prices]]:
    yield "all", prices, estimates
    for name, chosen in terciles(prices).items():
        yield f"{name} third", prices[chosen], estimates[chosen]
