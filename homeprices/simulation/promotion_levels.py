"""The smallest level at which each simulated trial promotes: an always-valid p-value of its whole path.

One path of a trial so serves every rule that gives levels to the trials of a year.
"""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np

from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.simulation.interim_looks import Variants, ends_otherwise, lower_bound, may_promote
from homeprices.simulation.visitors import Array, Scenario, SimulatedVariant, simulate_variants

SMALLEST = 1e-12
HALVINGS = 24  # of the interval of the level's logarithm: an error of 2e-6 of the level


def promotion_levels(policy: SequentialPolicy, scenario: Scenario) -> Array:
    """Return for every run the smallest level at which the policy promotes; 1 if it does not at its own rate either.

    Harm and a broken split end a trial as they do in `experiments.simulate`, which promotes a run at this level and
    above it, up to the policy's rate.
    """
    found, largest = [], policy.error_rates.promote
    for number, start in enumerate(range(0, scenario.runs, scenario.chunk)):
        runs = min(scenario.chunk, scenario.runs - start)
        variants = simulate_variants(scenario, number, runs)
        with np.errstate(divide="ignore", invalid="ignore"):
            ended = np.logical_or.accumulate(ends_otherwise(policy, scenario, variants), axis=1)
            possible = may_promote(policy, scenario, variants, largest) & ~ended
            possible &= lower_bound(policy, variants, largest) > policy.margins.promote
        found.append([_smallest(policy, _looks(variants, run, possible[run])) for run in range(runs)])
    return np.concatenate(found)


def _looks(variants: Variants, run: int, chosen: Array) -> Variants:
    production, candidate = (
        SimulatedVariant(*(getattr(variant, field.name)[run, chosen] for field in fields(variant)))
        for variant in variants
    )
    return production, candidate


def _smallest(policy: SequentialPolicy, variants: Variants) -> float:
    if not variants[0].rated.size:
        return 1.0
    low, high = math.log(SMALLEST), math.log(policy.error_rates.promote)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if (lower_bound(policy, variants, math.exp(middle)) > policy.margins.promote).any():
            high = middle
        else:
            low = middle
    return math.exp(high)
