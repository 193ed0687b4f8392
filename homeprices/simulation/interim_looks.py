"""Where in a simulated experiment a policy may decide, and the evidence that it sees there.

`may_decide` finds the looks for all runs at once; what is decided there is asked of the policy itself, so a simulated
decision is one that the same evidence would have led to.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from homeprices.experiment.confidence_sequences import bounded_half_width, half_width
from homeprices.experiment.evidence import (
    HIGHEST_RATING,
    LOWEST_RATING,
    ClusteredProportion,
    Evidence,
    SampleMoments,
    Stratum,
    VariantSummary,
)
from homeprices.experiment.policies import AnyPolicy
from homeprices.experiment.policies.composite import CompositePolicy
from homeprices.experiment.policies.sequential import SILENT_BELOW, SequentialPolicy
from homeprices.experiment.sample_ratio import log_evidence
from homeprices.simulation.visitors import HOURS_A_DAY, LATENCY_DEVIATION_MS, LATENCY_MS, Array, Scenario, SimulatedArm

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)

Arms = tuple[SimulatedArm, SimulatedArm]


def may_decide(policy: AnyPolicy, scenario: Scenario, arms: Arms) -> Array:
    """At which looks of which runs the policy may decide something: shape (runs, looks)."""
    hours = np.arange(1, scenario.looks + 1)
    late = np.broadcast_to(hours >= policy.longest / timedelta(hours=1), arms[0].rated.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = _composite(policy, arms) if isinstance(policy, CompositePolicy) else _sequential(policy, scenario, arms)
    return np.asarray(found | late)


def evidence_at(scenario: Scenario, arms: Arms, run: int, look: int) -> Evidence:
    """What both arms of a run have shown at a look, from 0."""
    production, candidate = (_arm(arm, name, run, look) for arm, name in zip(arms, ("BO1", "CO1"), strict=True))
    stratum = Stratum(
        epoch=1,
        share=scenario.share * 100,
        assigned=(production.requests, candidate.requests),
        ratings=(_sample(arms[0], run, look), _sample(arms[1], run, look)),
    )
    return Evidence(
        experiment="BO1-CO1",
        production=production,
        candidate=candidate,
        started_at=BEGIN,
        now=BEGIN + timedelta(hours=look + 1),
        strata=(stratum,),
        errors=_occurrences(arms[1].errors, arms[1].assigned, run, look),
        slow=_occurrences(arms[1].slow, arms[1].assigned, run, look),
        slow_over_ms=100.0,
    )


def visitor_moments(arm: SimulatedArm) -> tuple[Array, Array]:
    """Mean and variance of the visitors' mean ratings."""
    return _moments(arm.rated, arm.means, arm.means_squared)


def rating_moments(arm: SimulatedArm) -> tuple[Array, Array]:
    """Mean and variance of the ratings, as if each were a visitor's of its own."""
    return _moments(arm.ratings, arm.stars, arm.stars_squared)


def _moments(n: Array, total: Array, squares: Array) -> tuple[Array, Array]:
    with np.errstate(divide="ignore", invalid="ignore"):  # before the first value there is no mean
        mean = total / n
    return mean, np.maximum((squares - n * mean**2) / np.maximum(n - 1, 1), 0.0)


def _composite(policy: CompositePolicy, arms: Arms) -> Array:
    scores = []
    for arm in arms:
        speed = np.maximum(0.0, (policy.slowest_ms - arm.latency / arm.assigned) / policy.slowest_ms)
        stars = arm.stars / arm.ratings
        scores.append(policy.rating_weight * stars / HIGHEST_RATING + policy.speed_weight * speed)
    candidate = arms[1]
    enough = (_recent(candidate.assigned) >= policy.least_recent_requests) & (candidate.ratings >= policy.least_ratings)
    better, worse = scores[1] > policy.promote_above * scores[0], scores[1] < policy.roll_back_below * scores[0]
    return np.asarray(enough & (better | worse))


def _sequential(policy: SequentialPolicy, scenario: Scenario, arms: Arms) -> Array:
    rates = policy.error_rates
    against = _sample_ratio(arms, scenario.share, policy.sample_ratio.concentration)
    late = np.arange(1, scenario.looks + 1) >= policy.missing_after / timedelta(hours=1)
    found = (against >= -math.log(rates.sample_ratio)) | (late & _silent(scenario, arms))
    for hits, limit in ((arms[1].errors, policy.guardrails.error_share), (arms[1].slow, policy.guardrails.slow_share)):
        found |= _breached(policy, hits, arms[1].assigned, limit)
    estimate, lower, upper = _difference(policy, arms)
    least = policy.minimum
    enough = (arms[1].assigned >= least.exposures) & (arms[1].ratings >= least.ratings)
    enough &= np.minimum(arms[0].rated, arms[1].rated) >= least.rated_visitors
    decided = (estimate - lower > policy.margins.promote) | (estimate + upper < policy.margins.harm)
    return np.asarray(found | (enough & decided))


def _sample_ratio(arms: Arms, share: float, concentration: float) -> Array:
    """The evidence against the split at each look; computed once for counts that many runs share."""
    production, candidate = (arm.assigned.astype(np.int64) for arm in arms)
    base = int(candidate.max()) + 1
    distinct, where = np.unique(production * base + candidate, return_inverse=True)
    counts = zip((distinct // base).tolist(), (distinct % base).tolist(), strict=True)
    values = [log_evidence(pair, (1 - share, share), concentration=concentration) for pair in counts]
    return np.asarray(values)[where].reshape(production.shape)


def _silent(scenario: Scenario, arms: Arms) -> Array:
    """Where data is missing: an arm is silent for a day, and that is not because the site is quiet."""
    days = np.arange(1, scenario.looks + 1) / HOURS_A_DAY
    recent = [_recent(arm.assigned) for arm in arms]
    found = (arms[0].assigned == 0) & (arms[1].assigned == 0)
    for place, times in enumerate(((1 - scenario.share) / scenario.share, scenario.share / (1 - scenario.share))):
        expected = np.maximum(recent[1 - place] * times, arms[place].assigned / days)
        found |= (recent[place] == 0) & (expected >= SILENT_BELOW)
    return np.asarray(found)


def _breached(policy: SequentialPolicy, hits: Array, trials: Array, limit: float) -> Array:
    mean = hits / trials - limit
    squares = hits - 2 * limit * hits + limit**2 * trials
    variance = np.maximum((squares - trials * mean**2) / np.maximum(trials - 1, 1), 0.0)
    width = half_width(
        variance / trials, trials, alpha=policy.error_rates.guardrail, expected=policy.expected_visitors, one_sided=True
    )
    return np.asarray((trials >= policy.guardrails.visitors) & (mean - width > 0))


def _difference(policy: SequentialPolicy, arms: Arms) -> tuple[Array, Array, Array]:
    """The difference of the composites, and the distances of its lower and its upper bound."""
    primary, rates, expected = policy.primary, policy.error_rates, policy.expected_visitors
    by_star, by_ms = primary.rating_weight / HIGHEST_RATING, primary.speed_weight / primary.slowest_ms
    (mean_a, spread_a), (mean_b, spread_b) = (visitor_moments(arm) for arm in arms)
    n_a, n_b = arms[0].rated, arms[1].rated
    variance = np.maximum(spread_a, 1 / n_a) / n_a + np.maximum(spread_b, 1 / n_b) / n_b
    latency = by_ms * LATENCY_DEVIATION_MS * np.sqrt(1 / arms[0].assigned + 1 / arms[1].assigned)
    slower = arms[1].latency / arms[1].assigned - arms[0].latency / arms[0].assigned
    estimate = by_star * (mean_b - mean_a) - by_ms * slower
    n, widths = n_a + n_b, []
    for alpha in (rates.promote, rates.harm):
        if primary.bounds == "asymptotic":
            whole = (by_star * np.sqrt(variance) + latency) ** 2
            widths.append(half_width(whole, n, alpha=alpha, expected=expected, one_sided=True))
            continue
        spread = by_star * (HIGHEST_RATING - LOWEST_RATING)
        arm_widths = [_bounded(count, n, spread, alpha / 2, expected) for count in (n_a, n_b)]
        widths.append(sum(arm_widths) + half_width(latency**2, n, alpha=alpha, expected=expected, one_sided=True))
    return estimate, widths[0], widths[1]


def _bounded(count: Array, whole: Array, spread: float, alpha: float, expected: float) -> Any:
    return bounded_half_width(count, spread=spread, alpha=alpha, expected=expected * count / whole, one_sided=True)


def _recent(total: Array) -> Array:
    """What was counted in the last 24 hours."""
    before = np.zeros_like(total)
    before[:, HOURS_A_DAY:] = total[:, :-HOURS_A_DAY]
    return np.asarray(total - before)


def _arm(arm: SimulatedArm, bundle: str, run: int, look: int) -> VariantSummary:
    assigned, ratings = int(arm.assigned[run, look]), int(arm.ratings[run, look])
    before = int(arm.assigned[run, look - HOURS_A_DAY]) if look >= HOURS_A_DAY else 0
    return VariantSummary(
        bundle=bundle,
        requests=assigned,
        recent_requests=assigned - before,
        visitors=assigned,
        rated_visitors=int(arm.rated[run, look]),
        ratings=ratings,
        mean_rating=min(float(arm.stars[run, look]) / ratings, HIGHEST_RATING) if ratings else None,
        mean_latency_ms=max(float(arm.latency[run, look]) / assigned, 0.0) if assigned else None,
        latency_variance=LATENCY_DEVIATION_MS**2,
        p99_latency_ms=LATENCY_MS + 3 * LATENCY_DEVIATION_MS,
    )


def _sample(arm: SimulatedArm, run: int, look: int) -> SampleMoments:
    n, total = int(arm.rated[run, look]), float(arm.means[run, look])
    if n == 0:
        return SampleMoments()
    squares = float(arm.means_squared[run, look]) - total**2 / n
    return SampleMoments(n=n, mean=total / n, variance=max(squares / (n - 1), 0.0) if n > 1 else 0.0)


def _occurrences(hits: Array, trials: Array, run: int, look: int) -> ClusteredProportion:
    """Each visitor has come once."""
    happened, tried = int(hits[run, look]), int(trials[run, look])
    return ClusteredProportion(
        visitors=tried,
        hits=happened,
        trials=tried,
        hits_squared=happened,
        trials_squared=tried,
        hits_times_trials=happened,
    )
