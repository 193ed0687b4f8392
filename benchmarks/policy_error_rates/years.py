"""Years of trials under rules that spend an error rate over them: false promotions, and the power that is left.

Every rule judges the same simulated trials: of each path only the smallest level at which it promotes is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.experiment.policies.year import YearRule
from homeprices.simulation.promotion_levels import promotion_levels
from homeprices.simulation.visitors import Array, Scenario

PLACES = (1, 10, 26)
"""The trials of the year at which a better candidate is tried."""
EFFECTS = (0.2, 0.4)
REWARDED = 5  # promotions of better candidates before the last trial, in the last column
CHECKED_LEVELS = (0.05, 0.01, 0.004, 0.002, 0.001)
CHECKED = {
    "100 ratings a day, 20 %": {},
    "clustered": {"ratings_per_visitor": 3.0},
    "50 ratings a day, 50 %": {"per_day": 50.0, "share": 0.5},
    "1,000 ratings a day, 5 %": {"per_day": 1000.0, "share": 0.05},
}

BEFORE = "5 % each, from 30 rated visitors on (before)"

Spending = Callable[[Sequence[float], Sequence[bool]], float]
"""Returns the level of the next trial of a year after the levels of its trials, and which of them promoted."""


class Years(BaseModel):
    """The years to simulate, each of `trials` trials of candidates that are no better."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    years: int = Field(default=500, ge=1)
    trials: int = Field(default=26, ge=max(PLACES))
    better: int = Field(default=2000, ge=1)
    seed: int = Field(default=1, ge=0)


@dataclass(frozen=True)
class Found:
    """A rule's years: the share with a false promotion, their mean number, and power by (effect, place)."""

    with_error: float
    mean: float
    power: dict[tuple[float, int], float]
    rewarded: float


def spending_rules(year: YearRule) -> dict[str, Spending]:
    """Return ours, today's, and those of the literature. Each but today's spends the error rate of `year`."""
    total, expected = year.error_rate, year.trials
    early = year.model_copy(update={"trials": 5})
    return {
        BEFORE: lambda _levels, _promoted: 0.05,
        "**equal share of the rest**, 26 expected (ours)": lambda levels, _: year.level(levels),
        "equal share of the rest, 5 expected": lambda levels, _: early.level(levels),
        "Bonferroni over 26": lambda _levels, _promoted: total / expected,
        "ours, with the level of a promotion given back": lambda levels, promoted: year.level(
            [level for level, back in zip(levels, promoted, strict=True) if not back]
        ),
        "LOND (false discovery rate)": lambda levels, promoted: (
            _lond_share(len(levels) + 1, expected) * total * (sum(promoted) + 1)
        ),
    }


def _lond_share(number: int, trials: int) -> float:
    """Return the part of the error of trial `number` in LOND (Javanmard and Montanari, arXiv 1502.06197).

    The decreasing sequence is that of the R package onlineFDR, scaled to add up to 1 within the year.
    """
    weights = [math.log(max(i, 2)) / (i * math.exp(math.sqrt(math.log(i)))) for i in range(1, trials + 1)]
    return weights[min(number, trials) - 1] / sum(weights)


def measure_years(policy: SequentialPolicy, chosen: Years) -> dict[str, Found]:
    """Return what each rule does to the same years. `policy` has our rule of the year; `BEFORE` is judged without."""
    year = policy.year or YearRule()
    before = policy.model_copy(update={"year": None})
    paths = {True: _paths(before, chosen), False: _paths(policy, chosen)}
    return {title: judge(rule, *paths[title == BEFORE]) for title, rule in spending_rules(year).items()}


def _paths(policy: SequentialPolicy, chosen: Years) -> tuple[Array, dict[float, Array]]:
    """Return the smallest levels of no better candidates by (year, trial), and of better ones by effect."""
    runs = chosen.years * chosen.trials
    same = promotion_levels(policy, Scenario(runs=runs, seed=chosen.seed)).reshape(chosen.years, chosen.trials)
    better = {
        effect: promotion_levels(policy, Scenario(runs=chosen.better, seed=chosen.seed + 1, effect=effect))
        for effect in EFFECTS
    }
    return same, better


def judge(rule: Spending, same: Array, better: dict[float, Array]) -> Found:
    """Return the years of one rule."""
    levels = np.array([_year(rule, row) for row in same])
    errors = (same <= levels).sum(axis=1)
    last = max(PLACES)
    rewarded = _level_at(rule, same[:, : last - 1], REWARDED)
    return Found(
        with_error=float((errors > 0).mean()),
        mean=float(errors.mean()),
        power={(e, p): _power(better[e], levels[:, p - 1]) for e in EFFECTS for p in PLACES},
        rewarded=_power(better[EFFECTS[0]], rewarded),
    )


def _year(rule: Spending, smallest: Iterable[float]) -> list[float]:
    levels: list[float] = []
    promoted: list[bool] = []
    for each in smallest:
        levels.append(rule(levels, promoted))
        promoted.append(bool(each <= levels[-1]))
    return levels


def _level_at(rule: Spending, same: Array, better: int) -> Array:
    """Return the level after the trials `same`, of which the last `better` were of better candidates and promoted."""
    rows = same.copy()
    rows[:, same.shape[1] - better :] = 0.0
    return np.array([_year(rule, [*row, 1.0])[-1] for row in rows])


def _power(better: Array, levels: Array) -> float:
    """Return the probability that a better candidate promotes at a level of these years."""
    ordered = np.sort(better)
    return float(np.searchsorted(ordered, levels, side="right").mean() / len(ordered))


def check_levels(policy: SequentialPolicy, runs: int, seed: int) -> dict[str, dict[float, float]]:
    """Return the actual rate of false promotions of one trial at each level, by kind of traffic."""
    found = {}
    for title, more in CHECKED.items():
        smallest = promotion_levels(policy, Scenario.model_validate({"runs": runs, "seed": seed, **more}))
        found[title] = {level: float((smallest <= level).mean()) for level in CHECKED_LEVELS}
    return found


Table = tuple[str, list[str], list[list[str]]]
"""Introduction, head and rows."""


def table_of_years(found: dict[str, Found], chosen: Years) -> Table:
    """Return the table of the rules of a year."""
    powers = [(effect, place) for effect in EFFECTS for place in PLACES]
    head = [
        "rule of the year", "years with a false promotion", "false promotions a year",
        *(f"{effect:g} better, trial {place}" for effect, place in powers),
        f"{EFFECTS[0]:g} better, trial {max(PLACES)}, after {REWARDED} better ones",
    ]  # fmt: skip
    rows = [
        [title, f"{one.with_error:.1%}", f"{one.mean:.2f}"]
        + [f"{rate:.1%}" for rate in (*(one.power[power] for power in powers), one.rewarded)]
        for title, one in found.items()
    ]
    intro = (
        f"{chosen.years} years of {chosen.trials} trials each, seed {chosen.seed}. Candidates are no better, except "
        f"the one in the head of a column, whose rate of promotion is given (of {chosen.better:,} trials each). All "
        "rules judge the same trials."
    )
    return intro, head, rows


def table_of_levels(checked: dict[str, dict[float, float]], runs: int, rated_visitors: int) -> Table:
    """Return the table of the levels: how often one trial errs at each."""
    intro = (
        f"Promotions of a candidate that is no better, of {runs:,} trials each, at the level in the head of the column "
        f"and from {rated_visitors} rated visitors in the smaller variant on."
    )
    rows = [[title, *(f"{rate:.3%}" for rate in rates.values())] for title, rates in checked.items()]
    return intro, ["traffic", *(f"{level:.1%}" for level in CHECKED_LEVELS)], rows
