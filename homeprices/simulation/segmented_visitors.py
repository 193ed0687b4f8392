"""Simulated experiments whose visitors belong to segments: false alarms of the check by segment, and what it sees.

One region may differ in the candidate's effect. The regions are as frequent as among the synthetic listings; the other
segments are independent of them. Every visitor rates once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeprices.data.regions import REGIONS, SIMULATED, region_of
from homeprices.data.synthetic import PLACE_WEIGHTS
from homeprices.experiment.confidence_sequences import always_valid_p, holm
from homeprices.experiment.evidence import Evidence, SampleMoments, SegmentRatings
from homeprices.experiment.policies.limits import Margins
from homeprices.experiment.policies.segments import SegmentRule
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.simulation.experiments import Ended
from homeprices.simulation.interim_looks import Variants, evidence_at, may_decide
from homeprices.simulation.visitors import (
    HOURS_A_DAY,
    STARS,
    USUAL_MEAN,
    Array,
    Scenario,
    SimulatedVariant,
    accumulate,
    rating_probabilities,
)

DIFFERS = SIMULATED
"""The region whose effect may differ."""
OTHER_SHARES = ((0.45, 0.55), (0.3, 0.4, 0.3), (0.9, 0.1))
"""Shares of the visitors by bedrooms, price and known place, in the order of the default rule's names."""


@dataclass(frozen=True)
class Visitors:
    """A chunk of simulated experiments.

    `sums` has, for production and candidate, in each segment of the default rule, run and look: the number of raters,
    the sum of their stars and that of the squares. Its shape is (variants, 3, segments, runs, looks).
    """

    variants: Variants
    sums: Array


@dataclass(frozen=True)
class Found:
    """What the check finds over the full duration of an experiment: the hour of the first look that finds a segment
    harmed (None: none does), and whether one finds another segment than `DIFFERS`.
    """

    hours: int | None
    others: bool


@dataclass(frozen=True)
class SegmentRun:
    """A simulated experiment: how it ends without the check and with it, and what the check finds."""

    unchecked: Ended
    checked: Ended
    found: Found


def region_shares() -> dict[str, float]:
    """Return the share of each region among the synthetic listings."""
    whole = sum(PLACE_WEIGHTS.values())
    return {
        region: sum(weight for name, weight in PLACE_WEIGHTS.items() if region_of(name) == region) / whole
        for region in REGIONS
    }


def simulate_segments(policy: SequentialPolicy, scenario: Scenario, effect: float) -> list[SegmentRun]:
    """Return every run under a policy with the default segments.

    The candidate is `scenario.effect` stars better, but `effect` in the region `DIFFERS`.
    """
    rule, unchecked = policy.segments or SegmentRule(), policy.model_copy(update={"segments": None})
    never_promotes = unchecked.model_copy(update={"margins": Margins(promote=1.0, harm=policy.margins.harm)})
    ended = []
    for visitors in _chunks(scenario, effect):
        harmed = harmed_at(rule, visitors.sums)
        looks = may_decide(unchecked, scenario, visitors.variants)
        # While a segment is harmed, only a look that does not promote can decide.
        others = may_decide(never_promotes, scenario, visitors.variants)
        checked = np.where(harmed.any(axis=0), others, looks)
        for run, found in enumerate(_found(rule, harmed)):
            before = _decide(unchecked, scenario, visitors, run, looks[run])
            ended.append(SegmentRun(before, _decide(policy, scenario, visitors, run, checked[run]), found))
    return ended


def find_harm(rule: SegmentRule, scenario: Scenario, effect: float) -> list[Found]:
    """Return what the check finds in every run, whatever else is decided."""
    return [found for visitors in _chunks(scenario, effect) for found in _found(rule, harmed_at(rule, visitors.sums))]


def _chunks(scenario: Scenario, effect: float) -> Iterator[Visitors]:
    for number, start in enumerate(range(0, scenario.runs, scenario.chunk)):
        yield simulate_visitors(scenario, number, min(scenario.chunk, scenario.runs - start), effect)


def _found(rule: SegmentRule, harmed: Array) -> list[Found]:
    place, found = rule.names.index(f"region {DIFFERS}"), []
    for run in np.moveaxis(harmed, 1, 0):
        looks = np.flatnonzero(run.any(axis=0))
        others = bool(np.delete(run, place, axis=0).any())
        found.append(Found(int(looks[0]) + 1 if len(looks) else None, others))
    return found


def harmed_at(rule: SegmentRule, sums: Array) -> Array:
    """Return where each segment is found harmed: a mask (segments, runs, looks)."""
    (n_a, mean_a, variance_a), (n_b, mean_b, variance_b) = (_moments(variant) for variant in sums)
    with np.errstate(divide="ignore"):
        variance = np.maximum(variance_a, 1 / n_a) / n_a + np.maximum(variance_b, 1 / n_b) / n_b
    p = always_valid_p(
        rule.margin - (mean_b - mean_a), variance, n_a + n_b, alpha=rule.error_rate / len(rule.names),
        expected=rule.expected_visitors, one_sided=True,
    )  # fmt: skip
    family = np.moveaxis(np.where(np.minimum(n_a, n_b) >= rule.rated_visitors, p, 1.0), 0, -1)
    return np.moveaxis(holm(family, alpha=rule.error_rate), -1, 0)


def evidence_of(policy: SequentialPolicy, scenario: Scenario, visitors: Visitors, run: int, look: int) -> Evidence:
    """Return the evidence of a run at a look, counted from 0, with the segments of the policy, if it has any."""
    evidence = evidence_at(scenario, visitors.variants, run, look)
    if policy.segments is None:
        return evidence
    production, candidate = (_samples(variant[..., run, look]) for variant in visitors.sums)
    pairs = zip(policy.segments.names, production, candidate, strict=True)
    return evidence.model_copy(
        update={"segments": tuple(SegmentRatings(name=name, ratings=((a, b),)) for name, a, b in pairs)}
    )


def simulate_visitors(scenario: Scenario, number: int, runs: int, effect: float) -> Visitors:
    """Return the visitors of the `number`-th chunk, of so many runs. The same scenario gives the same visitors."""
    rng = np.random.default_rng([scenario.seed, number])
    effects = [effect if region == DIFFERS else scenario.effect for region in REGIONS]
    production, sums_a = _variant(rng, scenario, runs, 1 - scenario.share, [0.0] * len(REGIONS))
    candidate, sums_b = _variant(rng, scenario, runs, scenario.share, effects)
    return Visitors((production, candidate), np.stack([sums_a, sums_b]))


def _moments(sums: Array) -> tuple[Array, Array, Array]:
    """Return number, mean and variance; the mean of no values is meaningless."""
    n, stars, squares = sums
    mean = stars / np.maximum(n, 1)
    return n, mean, np.maximum((squares - n * mean**2) / np.maximum(n - 1, 1), 0.0)


def _samples(sums: Array) -> list[SampleMoments]:
    columns = (values.tolist() for values in _moments(sums))
    return [SampleMoments(n=int(n), mean=mean, variance=variance) for n, mean, variance in zip(*columns, strict=True)]


def _decide(policy: SequentialPolicy, scenario: Scenario, visitors: Visitors, run: int, looks: Array) -> Ended:
    for look in np.flatnonzero(looks):
        decision = policy.decide(evidence_of(policy, scenario, visitors, run, int(look)))
        if decision.outcome != "continue":
            return Ended(decision.outcome, int(look) + 1)
    return Ended("continue", scenario.looks)


def _variant(
    rng: np.random.Generator, scenario: Scenario, runs: int, part: float, effects: list[float]
) -> tuple[SimulatedVariant, Array]:
    shape, hourly = (runs, scenario.looks), scenario.per_day / HOURS_A_DAY * part
    assigned = rng.poisson(hourly * scenario.visitors_per_rating, shape)
    by_region = []
    for share, effect in zip(region_shares().values(), effects, strict=True):
        [probabilities] = rating_probabilities(USUAL_MEAN + effect, np.zeros(1), np.ones(1))
        by_region.append(rng.multinomial(rng.poisson(hourly * share, shape), probabilities))
    whole = np.sum(by_region, axis=0)  # (runs, looks, stars)
    others: list[Any] = [np.moveaxis(rng.multinomial(whole, shares), -1, 0) for shares in OTHER_SHARES]
    counts = np.cumsum(np.concatenate([by_region, *others]), axis=2)
    number, stars, squares = whole.sum(axis=-1), whole @ STARS, whole @ STARS**2
    variant = accumulate(rng, assigned, [number, stars, squares, number, stars, squares])
    return variant, np.stack([counts.sum(axis=-1), counts @ STARS, counts @ STARS**2])
