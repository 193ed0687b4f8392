"""The usual decision rules, evaluated every hour with each rating as an independent unit. For comparison only."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, stdtr

from homeprices.simulation.experiments import Ended
from homeprices.simulation.interim_looks import Variants, rating_moments
from homeprices.simulation.visitors import Array, Scenario, simulate_variants


def simulate_peer(name: str, scenario: Scenario) -> list[Ended]:
    """Return the outcome of every run under one of the usual rules of `PEERS`."""
    ended: list[Ended] = []
    for number, start in enumerate(range(0, scenario.runs, scenario.chunk)):
        runs = min(scenario.chunk, scenario.runs - start)
        codes = peer_outcomes(name, simulate_variants(scenario, number, runs))
        for row in codes:
            decided = np.flatnonzero(row)
            if len(decided):
                ended.append(Ended("promote" if row[decided[0]] > 0 else "rollback", int(decided[0]) + 1))
            else:
                ended.append(Ended("inconclusive", scenario.looks))
    return ended


# Common rules as commonly used: tested every hour, with each rating as an independent unit. For comparison only.


LEAST_RATINGS = 10  # of the candidate, as in the published rule
T_TEST_LEVEL = 0.05
PROBABLY = 0.95

PEERS = {"t-test": "hourly t-test, p < 0.05", "bayes": 'Bayesian "probability to be best" > 0.95'}


def peer_outcomes(name: str, variants: Variants) -> Array:
    """Return for each look 1 to promote, -1 to roll back, 0 to continue; shape (runs, looks)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        (mean_a, variance_a), (mean_b, variance_b) = (rating_moments(variant) for variant in variants)
        by_a, by_b = variance_a / variants[0].ratings, variance_b / variants[1].ratings
        score = (mean_b - mean_a) / np.sqrt(by_a + by_b)
        if name == "t-test":  # Welch 1947
            freedom = (by_a + by_b) ** 2 / (by_a**2 / (variants[0].ratings - 1) + by_b**2 / (variants[1].ratings - 1))
            better, limit = stdtr(freedom, score), 1 - T_TEST_LEVEL / 2
        else:  # a flat prior and a normal posterior
            better, limit = ndtr(score), PROBABLY
    enough = np.minimum(variants[0].ratings, variants[1].ratings) >= LEAST_RATINGS
    return np.asarray(enough * (1 * (better > limit) - 1 * (better < 1 - limit)))
