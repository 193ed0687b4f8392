"""Interim looks of simulated experiments: the looks at which a policy may decide, and their evidence.

`may_decide` finds these looks for all runs at once. The policy itself then decides on each, so a simulated decision
equals the real one on the same evidence.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from scipy.special import gammaln

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
from homeprices.experiment.policies.missing_data import SILENT_BELOW
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.simulation.visitors import (
    HOURS_A_DAY,
    LATENCY_DEVIATION_MS,
    LATENCY_MS,
    Array,
    Scenario,
    SimulatedVariant,
)

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)

Variants = tuple[SimulatedVariant, SimulatedVariant]


def may_decide(policy: AnyPolicy, scenario: Scenario, variants: Variants, level: float | None = None) -> Array:
    """Return the looks at which the policy may decide a trial of this level: a mask (runs, looks)."""
    hours = np.arange(1, scenario.looks + 1)
    late = np.broadcast_to(hours >= policy.longest / timedelta(hours=1), variants[0].rated.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (
            _composite(policy, variants)
            if isinstance(policy, CompositePolicy)
            else _sequential(policy, scenario, variants, level)
        )
    return np.asarray(found | late)


def evidence_at(scenario: Scenario, variants: Variants, run: int, look: int, level: float | None = None) -> Evidence:
    """Return the evidence of a run at a look, counted from 0, in a trial of this level."""
    production, candidate = (
        _variant_summary(variant, name, run, look) for variant, name in zip(variants, ("BO1", "CO1"), strict=True)
    )
    stratum = Stratum(
        epoch=1,
        share=scenario.share * 100,
        assigned=(production.requests, candidate.requests),
        ratings=(sample_at(variants[0], run, look), sample_at(variants[1], run, look)),
    )
    return Evidence(
        experiment="BO1-CO1",
        production=production,
        candidate=candidate,
        started_at=BEGIN,
        now=BEGIN + timedelta(hours=look + 1),
        strata=(stratum,),
        errors=_occurrences(variants[1].errors, variants[1].assigned, run, look),
        slow=_occurrences(variants[1].slow, variants[1].assigned, run, look),
        slow_over_ms=100.0,
        level=level,
    )


def visitor_moments(variant: SimulatedVariant) -> tuple[Array, Array]:
    """Mean and variance of the visitors' mean ratings."""
    return _moments(variant.rated, variant.means, variant.means_squared)


def rating_moments(variant: SimulatedVariant) -> tuple[Array, Array]:
    """Mean and variance of the ratings, as if each were of a different visitor."""
    return _moments(variant.ratings, variant.stars, variant.stars_squared)


def _moments(n: Array, total: Array, squares: Array) -> tuple[Array, Array]:
    with np.errstate(divide="ignore", invalid="ignore"):  # before the first value there is no mean
        mean = total / n
    return mean, np.maximum((squares - n * mean**2) / np.maximum(n - 1, 1), 0.0)


def _composite(policy: CompositePolicy, variants: Variants) -> Array:
    scores = []
    for variant in variants:
        speed = np.maximum(0.0, (policy.slowest_ms - variant.latency / variant.assigned) / policy.slowest_ms)
        stars = variant.stars / variant.ratings
        scores.append(policy.rating_weight * stars / HIGHEST_RATING + policy.speed_weight * speed)
    candidate = variants[1]
    enough = (_recent(candidate.assigned) >= policy.least_recent_requests) & (candidate.ratings >= policy.least_ratings)
    better, worse = scores[1] > policy.promote_above * scores[0], scores[1] < policy.roll_back_below * scores[0]
    return np.asarray(enough & (better | worse))


def _sequential(policy: SequentialPolicy, scenario: Scenario, variants: Variants, level: float | None) -> Array:
    promoting = policy.error_rates.promote if level is None else level
    better = lower_bound(policy, variants, promoting) > policy.margins.promote
    promoted = may_promote(policy, scenario, variants, level) & better
    return np.asarray(promoted | ends_otherwise(policy, scenario, variants))


def ends_otherwise(policy: SequentialPolicy, scenario: Scenario, variants: Variants) -> Array:
    """Return the looks at which a trial is invalid, or its candidate does harm: a mask (runs, looks)."""
    rates = policy.error_rates
    against = sample_ratio(variants, scenario.share, policy.sample_ratio.concentration)
    late = np.arange(1, scenario.looks + 1) >= policy.missing_after / timedelta(hours=1)
    found = (against >= -math.log(rates.sample_ratio)) | (late & _silent(scenario, variants))
    for hits, limit in (
        (variants[1].errors, policy.guardrails.error_share),
        (variants[1].slow, policy.guardrails.slow_share),
    ):
        found |= breached(policy, hits, variants[1].assigned, limit)
    estimate, width = _difference(policy, variants, rates.harm)
    return np.asarray(found | (enough(policy, variants) & (estimate + width < policy.margins.harm)))


def may_promote(policy: SequentialPolicy, scenario: Scenario, variants: Variants, level: float | None) -> Array:
    """Return the looks with the minimum of data and of time for a promotion: a mask (runs, looks)."""
    least = policy.year.rated_visitors if policy.year and level else 0
    hours = np.arange(1, scenario.looks + 1)
    in_time = (hours >= policy.least_duration / timedelta(hours=1)) & (hours <= policy.longest / timedelta(hours=1))
    return np.asarray(in_time & enough(policy, variants) & (smaller(variants) >= least))


def lower_bound(policy: SequentialPolicy, variants: Variants, level: float) -> Array:
    """Return the lower bound of the difference of the composites at every look."""
    estimate, width = _difference(policy, variants, level)
    return np.asarray(estimate - width)


def enough(policy: SequentialPolicy, variants: Variants) -> Array:
    """Return the looks with the minimum of data for the primary metric."""
    least = policy.minimum
    found = (variants[1].assigned >= least.exposures) & (variants[1].ratings >= least.ratings)
    return np.asarray(found & (smaller(variants) >= least.rated_visitors))


def smaller(variants: Variants) -> Array:
    """Return the rated visitors of the smaller variant."""
    return np.asarray(np.minimum(variants[0].rated, variants[1].rated))


def sample_ratio(variants: Variants, share: float, concentration: float) -> Array:
    """Return the evidence of SRM at each look: `log_evidence` of arrays."""
    log_beta, log_plan, total = np.zeros(()), np.zeros(()), np.zeros(())
    for variant, part in zip(variants, (1 - share, share), strict=True):
        prior = concentration * part
        log_beta = log_beta + gammaln(prior + variant.assigned) - gammaln(prior)
        log_plan, total = log_plan + variant.assigned * math.log(part), total + variant.assigned
    return np.asarray(log_beta - (gammaln(concentration + total) - gammaln(concentration)) - log_plan)


def _silent(scenario: Scenario, variants: Variants) -> Array:
    """Return where data is missing: a variant has no request for a day, and a quiet site does not explain it."""
    days = np.arange(1, scenario.looks + 1) / HOURS_A_DAY
    recent = [_recent(variant.assigned) for variant in variants]
    found = (variants[0].assigned == 0) & (variants[1].assigned == 0)
    for place, times in enumerate(((1 - scenario.share) / scenario.share, scenario.share / (1 - scenario.share))):
        expected = np.maximum(recent[1 - place] * times, variants[place].assigned / days)
        found |= (recent[place] == 0) & (expected >= SILENT_BELOW)
    return np.asarray(found)


def breached(policy: SequentialPolicy, hits: Array, trials: Array, limit: float) -> Array:
    """Return where a share of the candidate's requests is above its limit, at the rate of a guardrail."""
    mean, variance = excess(hits, trials, limit)
    width = half_width(
        variance / trials, trials, alpha=policy.error_rates.guardrail, expected=policy.expected_visitors, one_sided=True
    )
    return np.asarray((trials >= policy.guardrails.visitors) & (mean - width > 0))


def excess(hits: Array, trials: Array, limit: float) -> tuple[Array, Array]:
    """Return mean and variance of the visitors' hits above a limit, where each has one exposure."""
    mean = hits / trials - limit
    squares = hits - 2 * limit * hits + limit**2 * trials
    return mean, np.maximum((squares - trials * mean**2) / np.maximum(trials - 1, 1), 0.0)


def _difference(policy: SequentialPolicy, variants: Variants, alpha: float) -> tuple[Array, Any]:
    """The difference of the composites, and the distance of its lower or upper bound at this error rate."""
    primary, expected = policy.primary, policy.expected_visitors
    by_star, by_ms = primary.rating_weight / HIGHEST_RATING, primary.speed_weight / primary.slowest_ms
    (mean_a, spread_a), (mean_b, spread_b) = (visitor_moments(variant) for variant in variants)
    n_a, n_b = variants[0].rated, variants[1].rated
    variance = np.maximum(spread_a, 1 / n_a) / n_a + np.maximum(spread_b, 1 / n_b) / n_b
    latency = by_ms * LATENCY_DEVIATION_MS * np.sqrt(1 / variants[0].assigned + 1 / variants[1].assigned)
    slower = variants[1].latency / variants[1].assigned - variants[0].latency / variants[0].assigned
    estimate, n = by_star * (mean_b - mean_a) - by_ms * slower, n_a + n_b
    if primary.bounds == "asymptotic":
        whole = (by_star * np.sqrt(variance) + latency) ** 2
        return estimate, half_width(whole, n, alpha=alpha, expected=expected, one_sided=True)
    spread = by_star * (HIGHEST_RATING - LOWEST_RATING)
    of_ratings = sum(_bounded(count, n, spread, alpha / 2, expected) for count in (n_a, n_b))
    return estimate, of_ratings + half_width(latency**2, n, alpha=alpha, expected=expected, one_sided=True)


def _bounded(count: Array, whole: Array, spread: float, alpha: float, expected: float) -> Any:
    return bounded_half_width(count, spread=spread, alpha=alpha, expected=expected * count / whole, one_sided=True)


def _recent(total: Array) -> Array:
    """The counts of the last 24 hours."""
    before = np.zeros_like(total)
    before[:, HOURS_A_DAY:] = total[:, :-HOURS_A_DAY]
    return np.asarray(total - before)


def _variant_summary(variant: SimulatedVariant, bundle: str, run: int, look: int) -> VariantSummary:
    assigned, ratings = int(variant.assigned[run, look]), int(variant.ratings[run, look])
    before = int(variant.assigned[run, look - HOURS_A_DAY]) if look >= HOURS_A_DAY else 0
    return VariantSummary(
        bundle=bundle,
        requests=assigned,
        recent_requests=assigned - before,
        visitors=assigned,
        rated_visitors=int(variant.rated[run, look]),
        ratings=ratings,
        mean_rating=min(float(variant.stars[run, look]) / ratings, HIGHEST_RATING) if ratings else None,
        mean_latency_ms=max(float(variant.latency[run, look]) / assigned, 0.0) if assigned else None,
        latency_variance=LATENCY_DEVIATION_MS**2,
        p99_latency_ms=LATENCY_MS + 3 * LATENCY_DEVIATION_MS,
    )


def sample_at(variant: SimulatedVariant, run: int, look: int) -> SampleMoments:
    """Return the mean ratings of the visitors of a run at a look."""
    n, total = int(variant.rated[run, look]), float(variant.means[run, look])
    if n == 0:
        return SampleMoments()
    squares = float(variant.means_squared[run, look]) - total**2 / n
    return SampleMoments(n=n, mean=total / n, variance=max(squares / (n - 1), 0.0) if n > 1 else 0.0)


def _occurrences(hits: Array, trials: Array, run: int, look: int) -> ClusteredProportion:
    """A clustered proportion in which each visitor has one exposure."""
    happened, tried = int(hits[run, look]), int(trials[run, look])
    return ClusteredProportion(
        visitors=tried,
        hits=happened,
        trials=tried,
        hits_squared=happened,
        trials_squared=tried,
        hits_times_trials=happened,
    )
