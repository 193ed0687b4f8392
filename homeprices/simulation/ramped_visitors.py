"""Simulated experiments with a ramp: how each ends, and how many visitors met the candidate until then.

Every visitor comes once, and some rate once. Each step of the ramp has its own visitors, so the epochs are independent
strata.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta

import numpy as np

from homeprices.experiment.confidence_sequences import half_width
from homeprices.experiment.evidence import HIGHEST_RATING, Evidence, RampProgress, Stratum
from homeprices.experiment.policies.ramp import Ramp, RampStep, first_step
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.simulation.experiments import Ended
from homeprices.simulation.interim_looks import (
    BEGIN,
    Variants,
    breached,
    enough,
    evidence_at,
    excess,
    may_promote,
    sample_at,
    sample_ratio,
    visitor_moments,
)
from homeprices.simulation.visitors import (
    ERROR_SHARE,
    LATENCY_DEVIATION_MS,
    Array,
    Scenario,
    SimulatedVariant,
    simulate_variant,
)

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class RampedRun:
    """How a simulated experiment ends, how many visitors the candidate had until then, and the hour at which the trial
    began, None if it ended in the ramp.
    """

    ended: Ended
    met: int
    trial: int | None


@dataclass(frozen=True)
class RampedVisitors:
    """A chunk of simulated experiments.

    `steps` have the visitors of each step, cumulated within it, and `began` the hours at which each step began in each
    run: beyond the last look if it did not. `whole` are the visitors of all steps.
    """

    ramp: Ramp
    steps: list[Variants]
    began: list[Array]
    whole: Variants

    def place(self, run: int, hour: int) -> int:
        """Return the index of the step in which a look of a run falls."""
        return sum(int(began[run]) < hour for began in self.began) - 1


def simulate_ramp(policy: SequentialPolicy, scenario: Scenario, error_share: float = ERROR_SHARE) -> list[RampedRun]:
    """Return every run under a policy; without a ramp the candidate has `scenario.share` from the beginning.

    The candidate is `scenario.effect` stars better and fails at `error_share` of its requests.
    """
    found, level = [], policy.trial_level(())
    for number, start in enumerate(range(0, scenario.runs, scenario.chunk)):
        visitors = simulate_visitors(policy, scenario, number, min(scenario.chunk, scenario.runs - start), error_share)
        with np.errstate(divide="ignore", invalid="ignore"):
            looks = _may_decide(policy, scenario, visitors, level)
        found += [_decide(policy, scenario, visitors, run, looks[run], level) for run in range(len(looks))]
    return found


def simulate_visitors(
    policy: SequentialPolicy, scenario: Scenario, number: int, runs: int, error_share: float
) -> RampedVisitors:
    """Return the `number`-th chunk, of so many runs. The same scenario gives the same visitors."""
    hours, begins = np.arange(1, scenario.looks + 1), np.zeros(runs, dtype=int)
    ramp, steps, began = _ramp(policy, scenario), list[Variants](), list[Array]()
    for place, step in enumerate(ramp):
        rng = np.random.default_rng([scenario.seed, number, place])
        share = step.share / 100
        both = (
            simulate_variant(rng, scenario, runs, 1 - share, 0.0),
            simulate_variant(rng, scenario, runs, share, scenario.effect, error_share),
        )
        began.append(begins)
        inside = hours > begins[:, None]
        steps.append(_masked(both, inside))
        if step == ramp[-1]:
            break
        ready = hours - begins[:, None] >= step.least_duration / HOUR
        with np.errstate(divide="ignore", invalid="ignore"):
            harmless = ~_harms(policy, steps, step)
        ready = ready & inside & harmless & (steps[-1][1].assigned >= step.least_exposures)
        begins = np.where(ready.any(axis=1), ready.argmax(axis=1) + 1, scenario.looks + 1)
        steps[-1] = _masked(both, inside & (hours <= begins[:, None]))
    return RampedVisitors(ramp, steps, began, _sum(steps))


def evidence_of(
    scenario: Scenario, visitors: RampedVisitors, run: int, look: int, level: float | None = None
) -> Evidence:
    """Return the evidence of a run at a look, counted from 0, in a trial of this level."""
    place = visitors.place(run, look + 1)
    step, own = visitors.ramp[place], visitors.steps[place][1]
    progress = RampProgress(
        epoch=place + 1,
        share=step.share,
        since=BEGIN + int(visitors.began[place][run]) * HOUR,
        exposures=int(own.assigned[run, look]),
        a_day=_a_day(scenario),
    )
    strata = [
        Stratum(
            epoch=number + 1,
            share=visitors.ramp[number].share,
            assigned=(int(a.assigned[run, look]), int(b.assigned[run, look])),
            ratings=(sample_at(a, run, look), sample_at(b, run, look)),
        )
        for number, (a, b) in enumerate(visitors.steps[: place + 1])
    ]
    last = place == len(visitors.ramp) - 1
    return evidence_at(scenario, visitors.whole, run, look, level).model_copy(
        update={"strata": tuple(strata), "ramp": None if last else progress}
    )


def _ramp(policy: SequentialPolicy, scenario: Scenario) -> Ramp:
    """Return the steps that are not skipped at the traffic of the scenario."""
    if policy.ramp is None:
        return (RampStep(share=scenario.share * 100),)
    first = first_step(policy.ramp, _a_day(scenario), policy.longest)
    return tuple(step for step in policy.ramp if step.share >= first.share)


def _a_day(scenario: Scenario) -> float:
    return scenario.per_day * scenario.visitors_per_rating


def _may_decide(policy: SequentialPolicy, scenario: Scenario, visitors: RampedVisitors, level: float | None) -> Array:
    """Return the looks at which the policy may decide: a mask (runs, looks)."""
    hours, whole, rates = np.arange(1, scenario.looks + 1), visitors.whole, policy.error_rates
    promoting = rates.promote if level is None else level
    estimate, width = _bound(policy, visitors.steps, promoting)
    trial = hours > visitors.began[-1][:, None]
    found = trial & may_promote(policy, scenario, whole, level) & (estimate - width > policy.margins.promote)
    estimate, width = _bound(policy, visitors.steps, rates.harm)
    found |= enough(policy, whole) & (estimate + width < policy.margins.harm)
    for hits, limit in (
        (whole[1].errors, policy.guardrails.error_share),
        (whole[1].slow, policy.guardrails.slow_share),
    ):
        found |= breached(policy, hits, whole[1].assigned, limit)
    against = sum(
        sample_ratio(both, step.share / 100, policy.sample_ratio.concentration)
        for both, step in zip(visitors.steps, visitors.ramp, strict=True)
    )
    return np.asarray(found | (against >= -math.log(rates.sample_ratio)) | (hours >= policy.longest / HOUR))


def _harms(policy: SequentialPolicy, steps: Sequence[Variants], step: RampStep) -> Array:
    """Return the looks at which a check of the step finds harm. These visitors report no actual prices."""
    whole, limits = _sum(steps), policy.guardrails
    estimate, variance, _ = _effect(policy, steps)
    found = {"ratings": enough(policy, whole) & (estimate + step.quantile * np.sqrt(variance) < policy.margins.harm)}
    n = whole[1].assigned
    for name, hits, limit in (
        ("errors", whole[1].errors, limits.error_share), ("slow", whole[1].slow, limits.slow_share),
    ):  # fmt: skip
        mean, variance = excess(hits, n, limit)
        found[name] = (n >= limits.visitors) & (mean - step.quantile * np.sqrt(variance / n) > 0)
    return np.asarray(np.logical_or.reduce([found[name] for name in step.checks if name in found]))


def _bound(policy: SequentialPolicy, steps: Sequence[Variants], alpha: float) -> tuple[Array, Array]:
    """Return the difference of the composites, and the distance of its bound at this error rate."""
    estimate, variance, n = _effect(policy, steps)
    width = half_width(variance, n, alpha=alpha, expected=policy.expected_visitors, one_sided=True)
    return estimate, np.asarray(width)


def _effect(policy: SequentialPolicy, steps: Sequence[Variants]) -> tuple[Array, Array, Array]:
    """Return the difference of the composites over the steps, its variance, and the number of rated visitors."""
    primary, whole = policy.primary, _sum(steps)
    by_star, by_ms = primary.rating_weight / HIGHEST_RATING, primary.speed_weight / primary.slowest_ms
    rated = np.stack([[variant.rated for variant in both] for both in steps])  # (steps, variants, runs, looks)
    moments = np.array([[visitor_moments(variant) for variant in both] for both in steps])
    mean, variance = moments[:, :, 0], moments[:, :, 1]
    usable = np.asarray((rated > 0).all(axis=1, keepdims=True))
    n = np.where(usable, rated, 0)
    weight = np.where(usable[:, 0], rated[:, 0] * rated[:, 1] / (rated[:, 0] + rated[:, 1]), 0.0)
    part = weight / weight.sum(axis=0)
    stars = np.where(usable[:, 0], part * (mean[:, 1] - mean[:, 0]), 0.0).sum(axis=0)
    spread = np.where(usable, (n - 1) * variance, 0.0).sum(axis=0) / np.where(usable, n - 1, 0).sum(axis=0)
    spread = np.maximum(np.nan_to_num(spread), 1 / n.sum(axis=0))
    of_ratings = np.where(usable, part[:, None] ** 2 * spread / n, 0.0).sum(axis=(0, 1))
    latency = by_ms * LATENCY_DEVIATION_MS * np.sqrt(1 / whole[0].assigned + 1 / whole[1].assigned)
    slower = whole[1].latency / whole[1].assigned - whole[0].latency / whole[0].assigned
    return by_star * stars - by_ms * slower, (by_star * np.sqrt(of_ratings) + latency) ** 2, n.sum(axis=(0, 1))


def _decide(
    policy: SequentialPolicy, scenario: Scenario, visitors: RampedVisitors, run: int, looks: Array, level: float | None
) -> RampedRun:
    began = int(visitors.began[-1][run])
    for look in np.flatnonzero(looks):
        decision = policy.decide(evidence_of(scenario, visitors, run, int(look), level))
        if decision.outcome != "continue":
            met, hours = int(visitors.whole[1].assigned[run, look]), int(look) + 1
            return RampedRun(Ended(decision.outcome, hours), met, began if began < hours else None)
    met = int(visitors.whole[1].assigned[run, -1])
    return RampedRun(Ended("continue", scenario.looks), met, began if began < scenario.looks else None)


def _masked(both: Variants, inside: Array) -> Variants:
    """Return the visitors of these looks alone, cumulated."""
    first, second = (
        SimulatedVariant(
            *(
                np.cumsum(np.diff(getattr(variant, field.name), axis=1, prepend=0) * inside, axis=1)
                for field in fields(variant)
            )
        )
        for variant in both
    )
    return first, second


def _sum(steps: Sequence[Variants]) -> Variants:
    production, candidate = (
        SimulatedVariant(*(sum(getattr(one, field.name) for one in each) for field in fields(SimulatedVariant)))
        for each in zip(*steps, strict=True)
    )
    return production, candidate
