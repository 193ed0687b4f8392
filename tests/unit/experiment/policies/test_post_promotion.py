"""The watch over a new production: what is a breach, and what weeks do by themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from homeprices.experiment.evidence import ClusteredProportion, SampleMoments, clustered_proportion
from homeprices.experiment.policies.post_promotion import PostPromotionEvidence, PostPromotionRule
from tests.unit.experiment.looks import BEGIN, happened

BAKE = PostPromotionRule()


def evidence(**more: Any) -> PostPromotionEvidence:
    given = {"slow": happened(0, 400), "slow_over_ms": 100.0, "baseline": "week"}
    times = {"promoted_at": BEGIN, "now": BEGIN + timedelta(hours=6)}
    return PostPromotionEvidence.model_validate({"production": "BO2", "previous": "BO1", **times, **given, **more})


def slots(*counts: tuple[int, int], times: int = 1) -> ClusteredProportion:
    """Five minutes each, with so many requests and so many of them failed."""
    return clustered_proportion([(failed, requests) for requests, failed in counts] * times)


def of(mean: float, n: int = 200, variance: float = 1.3) -> SampleMoments:
    return SampleMoments(n=n, mean=mean, variance=variance)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ({"slow": happened(40, 400)}, "10.0% of its answers took more than 100 ms"),
        (
            {"ratings": of(2.5), "ratings_before": of(3.8)},
            "it is rated 1.30 stars lower than in the same hours a week",
        ),
        (
            {"price_errors": of(0.5, variance=0.02), "price_errors_before": of(0.2, variance=0.02)},
            "30.0% of the price farther away",
        ),
        (
            {"failures": slots((50, 4), (60, 8), times=6), "failures_before": slots((50, 0), (60, 1), times=6)},
            "10.9% of its requests failed, and 0.9% did in the same hours a week before",
        ),
        ({"failures": slots((50, 25), times=6)}, "50.0% of its requests failed, and 2.0% may"),
    ],
)
def test_a_breach_is_taken_back_with_its_reason(harm: dict[str, Any], says: str) -> None:
    found = BAKE.evaluate(evidence(**harm))
    assert (found.outcome, says in found.reason) == ("revert", True), found.reason


@pytest.mark.parametrize(
    "fine",
    [
        {},
        {"slow": happened(4, 400)},
        {"slow": happened(20, 40)},
        {"ratings": of(3.7), "ratings_before": of(3.8)},
        {"ratings": of(1.0, n=49), "ratings_before": of(5.0)},
        {"ratings": of(1.0), "ratings_before": of(5.0, n=0, variance=0)},
        {"price_errors": of(0.22, variance=0.02), "price_errors_before": of(0.2, variance=0.02)},
        {"price_errors": of(0.1, variance=0.02), "price_errors_before": of(0.5, variance=0.02)},
        {"failures": slots((50, 50), (50, 0), (50, 0), (50, 0), (50, 0), (50, 0))},
        {"failures": slots((50, 25), times=5)},
        {"failures": slots((10, 1), times=6)},
        {"failures": slots((1, 1), times=49)},
        {"failures": slots((50, 5), times=12), "failures_before": slots((50, 5), times=12)},
    ],
)
def test_what_chance_or_another_week_explains_goes_on(fine: dict[str, Any]) -> None:
    assert BAKE.evaluate(evidence(**fine)).outcome == "continue"


def test_who_has_no_word_of_a_router_says_so() -> None:
    assert BAKE.evaluate(evidence()).reason == (
        "BO2 shows no harm so far; how many of its requests failed, no router has told."
    )
    told = BAKE.evaluate(evidence(failures=slots((50, 0), times=6)))
    assert (told.reason, told.statistics["failed_share"]) == ("BO2 shows no harm so far.", 0.0)


def test_short_outages_take_no_production_back_and_a_lasting_fault_does() -> None:
    """A day of 60 requests in five minutes, of which 0.5 % fail, looked at six times; each run loses ten minutes."""
    chance = np.random.default_rng(5)

    def ever(share: float) -> bool:
        failed = chance.binomial(60, share, 288)
        begin = int(chance.integers(0, 286))
        failed[begin : begin + 2] = 60
        pairs = [(60, int(count)) for count in failed]
        looks = (BAKE.evaluate(evidence(failures=slots(*pairs[: 12 * hour]))) for hour in (1, 2, 3, 6, 12, 24))
        return any(found.outcome == "revert" for found in looks)

    assert sum(ever(0.005) for _ in range(100)) <= 2
    assert sum(ever(0.06) for _ in range(20)) >= 19


def test_slow_is_twice_what_it_was_and_never_less_than_a_tenth_of_a_second() -> None:
    assert (BAKE.slow_over(None), BAKE.slow_over(3.0), BAKE.slow_over(400.0)) == (100.0, 100.0, 800.0)


def test_a_finding_is_the_same_after_a_journey_through_json() -> None:
    seen = evidence(ratings=of(3.7123456789012345), ratings_before=of(3.8))
    assert BAKE.evaluate(PostPromotionEvidence.model_validate_json(seen.model_dump_json())) == BAKE.evaluate(seen)
