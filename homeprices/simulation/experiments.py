"""Error rates and durations of a policy, from thousands of simulated experiments with hourly looks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeprices.experiment.policies import AnyPolicy, digest
from homeprices.simulation.interim_looks import Variants, evidence_at, may_decide
from homeprices.simulation.visitors import HOURS_A_DAY, Scenario, simulate_variants

OUTCOMES = ("promote", "rollback", "inconclusive", "invalid", "continue")
QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}


@dataclass(frozen=True)
class Ended:
    """The outcome of a simulated experiment, and its duration in hours; `continue`: it has not ended."""

    outcome: str
    hours: int


def simulate(policy: AnyPolicy, scenario: Scenario) -> list[Ended]:
    """Return the outcome of every run under a policy. With a rule for the year, each is the first trial of its year."""
    ended: list[Ended] = []
    level = policy.trial_level(())
    for number, start in enumerate(range(0, scenario.runs, scenario.chunk)):
        runs = min(scenario.chunk, scenario.runs - start)
        variants = simulate_variants(scenario, number, runs)
        candidates = may_decide(policy, scenario, variants, level)
        ended.extend(_decide(policy, scenario, variants, run, candidates[run], level) for run in range(runs))
    return ended


def summary(policy: AnyPolicy | str, scenario: Scenario, ended: list[Ended]) -> dict[str, Any]:
    """Return the rate of each outcome with its standard error, and the duration in days, as JSON values.

    `rates` add up to 1. `days_to_decide` is None for an outcome that did not happen.
    """
    counts = Counter(end.outcome for end in ended)
    named = policy if isinstance(policy, str) else policy.name
    rates = {outcome: counts[outcome] / len(ended) for outcome in OUTCOMES}
    return {
        "policy": named,
        "policy_digest": None if isinstance(policy, str) else digest(policy),
        **scenario.model_dump(mode="json"),
        "rates": rates,
        "standard_errors": {name: float(np.sqrt(rate * (1 - rate) / len(ended))) for name, rate in rates.items()},
        "days_to_decide": {outcome: _days(ended, outcome) for outcome in OUTCOMES if outcome != "continue"},
        "promoted_within_days": {
            str(day): sum(end.outcome == "promote" and end.hours <= day * HOURS_A_DAY for end in ended) / len(ended)
            for day in range(1, scenario.days + 1)
        },
    }


def _decide(
    policy: AnyPolicy, scenario: Scenario, variants: Variants, run: int, candidates: Any, level: float | None
) -> Ended:
    for look in np.flatnonzero(candidates):
        decision = policy.decide(evidence_at(scenario, variants, run, int(look), level))
        if decision.outcome != "continue":
            return Ended(decision.outcome, int(look) + 1)
    return Ended("continue", scenario.looks)


def _days(ended: list[Ended], outcome: str) -> dict[str, float] | None:
    hours = [end.hours for end in ended if end.outcome == outcome]
    if not hours:
        return None
    days = np.array(hours) / HOURS_A_DAY
    return {"mean": float(days.mean()), **{name: float(np.quantile(days, q)) for name, q in QUANTILES.items()}}
