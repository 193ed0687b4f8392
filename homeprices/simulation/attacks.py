"""Simulated attacks on an experiment: some networks vote without limit, among honest visitors.

Every visitor here rates once. The rows of the log go through the code of a real decision: `aggregate`, then the policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from homeprices.experiment.aggregation import ExperimentRows, RescoredPrice, aggregate
from homeprices.experiment.evidence import Evidence
from homeprices.experiment.exposures import ActualPrice, VisitorExposures, VisitorRatings
from homeprices.experiment.policies import AnyPolicy
from homeprices.names import VARIANTS
from homeprices.simulation.visitors import HOURS_A_DAY, STARS, USUAL_MEAN, Array, rating_probabilities

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
HONEST_NETWORKS, SPREAD = 10_000, 0.8
"""Number of honest visitors' networks, and the exponent of Zipf's law for their sizes: the largest network has 4 %."""
SHARE = 0.2
VISITS = 12
"""Exposures per visitor."""
LOOKS = (1, 6, *range(HOURS_A_DAY, 15 * HOURS_A_DAY, HOURS_A_DAY))
"""Hours of the interim looks: twice on the first day, then daily."""

Goal = Literal["promote", "rollback"]


@dataclass(frozen=True)
class Attack:
    """An attack by this many networks, with this many voices a day each, for this outcome, over `days` days.

    Honest visitors support the other outcome. `prices`: the attackers also report prices, at which production is exact
    and the candidate 5 % off.
    """

    goal: Goal
    networks: int
    voices_a_day: int
    prices: bool = False
    days: int = 14


@dataclass(frozen=True)
class Crowd:
    """The number of honest visitors who rate within 14 days; the candidate is `effect` stars better."""

    visitors: int
    effect: float
    days: int = 14


@dataclass(frozen=True)
class Votes:
    """One value per visitor, in order of time: hours, variant, network and stars."""

    hours: Array
    variant: Array
    network: list[str]
    stars: Array
    prices: Array


def decided(policy: AnyPolicy, crowd: Crowd, attack: Attack | None, seed: int) -> tuple[str, int]:
    """Return the first outcome that is not `continue`, and the hour; `inconclusive` ends every experiment."""
    votes = _votes(crowd, attack, np.random.default_rng(seed))
    for hour in LOOKS:
        outcome = policy.decide(evidence_at(policy, votes, hour)).outcome
        if outcome != "continue":
            return outcome, hour
    return "continue", LOOKS[-1]


def evidence_at(policy: AnyPolicy, votes: Votes, hour: float) -> Evidence:
    """Return the evidence of a look, from the rows that the log would have at that time."""
    now = BEGIN + timedelta(hours=float(hour))
    until = int(np.searchsorted(votes.hours, hour))
    at = [BEGIN + timedelta(hours=float(value)) for value in votes.hours[:until]]
    variants = [VARIANTS[value] for value in votes.variant[:until]]
    log = ExperimentRows(
        visitors=[
            VisitorExposures(
                visitor=str(n), epoch=1, variant=variant, moved=False, exposures=VISITS,
                recent=VISITS if now - when < timedelta(days=1) else 0, busiest_day=VISITS, errors=0, slow=0,
                milliseconds=5.0 * VISITS, milliseconds_squared=34.0 * VISITS, network=votes.network[n], first=when,
            )
            for n, (variant, when) in enumerate(zip(variants, at, strict=True))
        ],
        raters=[
            VisitorRatings(str(n), 1, float(votes.stars[n]), 0, 0, 0, 0, first=when) for n, when in enumerate(at)
        ],
        scored=[_price(n, variants[n], at[n]) for n in range(until) if votes.prices[n]],
        p99={},
        shares={1: SHARE * 100},
        voices=policy.voices,
        robustness=policy.robustness,
        burst=policy.burst,
        began=BEGIN,
    )  # fmt: skip
    found = aggregate(log, ("BO1", "CO1"))
    return Evidence(
        experiment="BO1-CO1",
        production=found.variants[0],
        candidate=found.variants[1],
        started_at=BEGIN,
        now=now,
        strata=found.strata,
        errors=found.errors,
        slow=found.slow,
        slow_over_ms=100.0,
        paired=found.paired,
        left_out=found.left_out,
        without=found.without,
    )


def zipf(networks: int, exponent: float) -> Array:
    """Return the share of the visitors of each network, the largest first."""
    weights = np.arange(1, networks + 1, dtype=float) ** -exponent
    return np.asarray(weights / weights.sum())


def _price(visitor: int, variant: str, at: datetime) -> RescoredPrice:
    """A price at which production is right and the candidate 5 % off."""
    told = ActualPrice(str(visitor), variant, fallback=False, inputs={}, estimate=100.0, price=100.0, ts=at)  # type: ignore[arg-type]
    return RescoredPrice(told, 100.0, 105.0)


def _votes(crowd: Crowd, attack: Attack | None, rng: np.random.Generator) -> Votes:
    honest = _honest(crowd, rng)
    if attack is None:
        return honest
    bought = _bought(attack, rng)
    order = np.argsort(np.concatenate([honest.hours, bought.hours]), kind="stable")
    networks = honest.network + bought.network
    return Votes(
        np.concatenate([honest.hours, bought.hours])[order],
        np.concatenate([honest.variant, bought.variant])[order],
        [networks[place] for place in order],
        np.concatenate([honest.stars, bought.stars])[order],
        np.concatenate([honest.prices, bought.prices])[order],
    )


def _honest(crowd: Crowd, rng: np.random.Generator) -> Votes:
    n = crowd.visitors
    hours = np.sort(rng.uniform(0, crowd.days * HOURS_A_DAY, n))
    variant = (rng.random(n) < SHARE).astype(int)
    stars = np.empty(n)
    for value, mean in enumerate((USUAL_MEAN, USUAL_MEAN + crowd.effect)):
        [probabilities] = rating_probabilities(mean, np.zeros(1), np.ones(1))
        of_variant = variant == value
        stars[of_variant] = rng.choice(STARS, int(of_variant.sum()), p=probabilities)
    places = rng.choice(HONEST_NETWORKS, n, p=zipf(HONEST_NETWORKS, SPREAD))
    return Votes(hours, variant, [f"home{place}" for place in places], stars, np.zeros(n, dtype=bool))


def _bought(attack: Attack, rng: np.random.Generator) -> Votes:
    """The attackers' voices, spread over each day, so that they are no burst. Browsers are assigned at random."""
    n = attack.networks * attack.voices_a_day * attack.days
    hours = np.sort(rng.uniform(0, attack.days * HOURS_A_DAY, n))
    variant = (rng.random(n) < SHARE).astype(int)
    praised = variant == (1 if attack.goal == "promote" else 0)
    places = rng.integers(0, attack.networks, n)
    stars = np.where(praised, 5.0, 1.0)
    return Votes(hours, variant, [f"bought{place}" for place in places], stars, np.full(n, attack.prices))
