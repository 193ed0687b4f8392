"""The published rule, number by number. The golden values are worked out by hand from the formula in issue 2."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from homeprices.experiment.evidence import Evidence, VariantSummary
from homeprices.experiment.policies.base import Decision
from homeprices.experiment.policies.composite import CompositePolicy

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
RULE = CompositePolicy()


def variant(
    bundle: str, rating: float | None = 4.0, latency: float | None = 20.0, *, ratings: int = 40, recent: int = 200
) -> VariantSummary:
    return VariantSummary(
        bundle=bundle,
        requests=recent,
        recent_requests=recent,
        ratings=0 if rating is None else ratings,
        mean_rating=rating,
        mean_latency_ms=latency,
    )


def look(production: VariantSummary, candidate: VariantSummary, *, days: float = 1) -> Evidence:
    return Evidence(
        experiment=f"{production.bundle}-{candidate.bundle}",
        production=production,
        candidate=candidate,
        started_at=BEGIN,
        now=BEGIN + timedelta(days=days),
    )


def decide(production: VariantSummary, candidate: VariantSummary, *, days: float = 1) -> Decision:
    return RULE.decide(look(production, candidate, days=days))


@pytest.mark.parametrize(
    ("rating", "latency", "score"),
    [
        (5.0, 0.0, 1.0),
        (4.0, 0.0, 0.86),
        (4.0, 1000.0, 0.80),
        (3.5, 250.0, 0.775),
        (1.0, 5000.0, 0.14),
        (1.0, 60_000.0, 0.14),
    ],
)
def test_the_score_is_seven_tenths_rating_and_three_tenths_speed(rating: float, latency: float, score: float) -> None:
    assert RULE.score(variant("CO1", rating, latency)) == pytest.approx(score, abs=1e-12)


def test_without_a_rating_or_an_answer_there_is_no_score() -> None:
    assert RULE.score(variant("CO1", rating=None)) is None
    assert RULE.score(variant("CO1", latency=None)) is None


def test_a_better_candidate_is_promoted_with_the_numbers_in_one_sentence() -> None:
    found = decide(variant("BO1", 4.0), variant("CO1", 4.5, ratings=12, recent=60))
    assert found.outcome == "promote"
    assert found.reason == (
        "CO1 (4.50 stars of 12 ratings, 20.0 ms) scores 0.9288 and BO1 (4.00 stars of 40 ratings, 20.0 ms) 0.8588, "
        "1.082 times as much, which is above 1.05 times."
    )
    assert found.scores == pytest.approx({"production": 0.8588, "candidate": 0.9288})


def test_a_much_worse_candidate_is_rolled_back() -> None:
    found = decide(variant("BO1", 4.5), variant("CO1", 1.5))
    assert (found.outcome, found.reason.split(", ")[-1]) == ("rollback", "which is below 0.8 times.")


def test_a_slow_candidate_is_rolled_back_though_its_ratings_equal() -> None:
    assert decide(variant("BO1", 3.0, 20), variant("CO1", 3.0, 4900)).outcome == "rollback"


def test_the_same_model_twice_goes_on() -> None:
    found = decide(variant("BO1"), variant("CO1"))
    assert (found.outcome, found.scores is not None) == ("continue", True)
    assert found.reason.endswith("1.000 times as much, which is neither above 1.05 nor below 0.8 times.")


@pytest.mark.parametrize(("ratings", "recent"), [(10, 49), (9, 50), (0, 0)])
def test_fewer_than_50_requests_in_a_day_or_10_ratings_decide_nothing(ratings: int, recent: int) -> None:
    rating = 5.0 if ratings else None
    found = decide(variant("BO1", 1.0), variant("CO1", rating, ratings=ratings, recent=recent))
    assert (found.outcome, found.scores) == ("continue", None)
    assert found.reason == (
        f"CO1 has {recent} requests in 24 h and {ratings} ratings so far, and the rule wants 50 and 10."
    )


def test_50_requests_in_a_day_and_10_ratings_are_enough() -> None:
    assert decide(variant("BO1", 1.0), variant("CO1", 5.0, ratings=10, recent=50)).outcome == "promote"


def test_production_without_ratings_is_waited_for_until_the_time_is_up() -> None:
    found = decide(variant("BO1", None), variant("CO1", 5.0))
    assert found.outcome == "continue"
    assert found.reason == (
        "BO1 has no rating yet, so CO1 (5.00 stars of 40 ratings, 20.0 ms) cannot be compared with it."
    )
    assert decide(variant("BO1", None), variant("CO1", 5.0), days=6.99).outcome == "continue"
    late = decide(variant("BO1", None), variant("CO1", 5.0), days=7)
    assert (late.outcome, late.reason.startswith("The 7 days are up (day 7.0): BO1 has no rating yet")) == (
        "inconclusive",
        True,
    )


def test_production_without_an_answer_of_its_own_is_waited_for() -> None:
    assert decide(variant("BO1", 4.0, None), variant("CO1")).reason.startswith("BO1 has no answered request yet")
    assert decide(variant("BO1"), variant("CO1", 4.0, None)).reason.startswith("CO1 has no answered request yet")


def test_after_7_days_what_is_not_better_is_rolled_back() -> None:
    assert decide(variant("BO1"), variant("CO1"), days=6.99).outcome == "continue"
    found = decide(variant("BO1"), variant("CO1"), days=7)
    assert found.outcome == "inconclusive"
    assert found.reason.startswith("The 7 days are up (day 7.0): CO1")


def test_after_7_days_too_little_evidence_is_rolled_back() -> None:
    found = decide(variant("BO1"), variant("CO1", ratings=3), days=8)
    assert (found.outcome, "3 ratings so far" in found.reason) == ("inconclusive", True)


def test_a_candidate_that_is_better_when_the_time_is_up_is_promoted() -> None:
    assert decide(variant("BO1", 3.0), variant("CO1", 5.0), days=9).outcome == "promote"


def test_a_clock_that_is_behind_does_not_end_an_experiment() -> None:
    early = look(variant("BO1"), variant("CO1"), days=-400)
    assert early.age == timedelta(0)
    assert RULE.decide(early).outcome == "continue"


def test_what_the_circuit_breaker_stopped_is_rolled_back_however_good_its_ratings_are() -> None:
    better = look(variant("BO1", 3.0), variant("CO1", 5.0))
    found = RULE.decide(better.model_copy(update={"stopped": "9 of 9 answers failed"}))
    assert (found.outcome, found.reason) == (
        "rollback",
        "The router's circuit breaker had stopped CO1: 9 of 9 answers failed",
    )
    assert found.scores is not None


def test_two_arms_that_both_score_nothing_go_on() -> None:
    nothing: dict[str, Any] = {"rating": 0.0, "latency": 5000.0}
    assert decide(variant("BO1", **nothing), variant("CO1", **nothing)).outcome == "continue"


@pytest.mark.parametrize(
    "fields",
    [
        {"ratings": 0, "mean_rating": 4.0},
        {"ratings": 3, "mean_rating": None},
        {"ratings": 3, "mean_rating": float("nan")},
        {"ratings": 3, "mean_rating": 5.1},
        {"ratings": -1},
        {"mean_latency_ms": -1},
    ],
)
def test_evidence_that_cannot_be_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VariantSummary.model_validate({"bundle": "CO1", "requests": 1, "recent_requests": 1, "ratings": 0, **fields})


def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Evidence.model_validate({**look(variant("BO1"), variant("CO1")).model_dump(), "now": datetime(2026, 3, 2)})


def test_an_hour_that_a_clock_repeats_is_still_an_hour() -> None:
    """Ages are differences of moments, so daylight saving moves nothing."""
    value = look(variant("BO1"), variant("CO1")).model_dump(mode="json")
    shifted = {**value, "started_at": "2026-10-25T02:30:00+02:00", "now": "2026-10-25T02:30:00+01:00"}
    assert Evidence.model_validate(shifted).age == timedelta(hours=1)


ratings = st.integers(0, 10_000)
stars = st.floats(1, 5)
milliseconds = st.floats(0, 20_000)


@st.composite
def variants(draw: st.DrawFn, bundle: str) -> VariantSummary:
    count, requests = draw(ratings), draw(st.integers(0, 10**9))
    return VariantSummary(
        bundle=bundle,
        requests=requests,
        recent_requests=draw(st.integers(0, requests)),
        ratings=count,
        mean_rating=draw(stars) if count else None,
        mean_latency_ms=draw(milliseconds) if requests else None,
    )


looks = st.builds(
    lambda production, candidate, hours: look(production, candidate, days=hours / 24),
    variants("BO1"),
    variants("CO1"),
    st.floats(-48, 24 * 30),
)


@given(looks)
def test_every_look_ends_in_one_outcome_with_one_sentence(evidence: Evidence) -> None:
    found = RULE.decide(evidence)
    assert found.outcome in ("promote", "rollback", "continue", "inconclusive")
    assert found.reason.endswith(".")
    assert "\n" not in found.reason
    assert (found.policy, found) == ("composite", RULE.decide(evidence))


@given(looks)
def test_evidence_and_decision_survive_json_to_the_bit(evidence: Evidence) -> None:
    again = Evidence.model_validate_json(evidence.model_dump_json())
    assert again == evidence
    found = RULE.decide(again)
    assert Decision.model_validate_json(found.model_dump_json()) == found == RULE.decide(evidence)


@given(variants("BO1"), st.floats(0, 6.9))
def test_a_model_beside_itself_is_neither_promoted_nor_rolled_back_before_its_time(
    both: VariantSummary, days: float
) -> None:
    assert decide(both, both.model_copy(update={"bundle": "CO1"}), days=days).outcome == "continue"


@given(looks)
def test_nothing_is_promoted_on_too_little(evidence: Evidence) -> None:
    if RULE.decide(evidence).outcome == "promote":
        assert evidence.candidate.recent_requests >= 50
        assert evidence.candidate.ratings >= 10
        assert evidence.production.ratings >= 1


@given(looks, st.floats(0, 4))
def test_better_ratings_of_the_candidate_never_turn_a_promotion_into_a_rollback(
    evidence: Evidence, more: float
) -> None:
    if evidence.candidate.mean_rating is None:
        return
    better = evidence.candidate.model_copy(update={"mean_rating": min(5.0, evidence.candidate.mean_rating + more)})
    after = RULE.decide(evidence.model_copy(update={"candidate": better})).outcome
    order = ["rollback", "inconclusive", "continue", "promote"]
    assert order.index(after) >= order.index(RULE.decide(evidence).outcome)


@given(looks)
def test_the_outcome_is_the_formula_of_the_rule(evidence: Evidence) -> None:
    """The rule again, as one would write it down from the issue."""
    production, candidate = evidence.production, evidence.candidate
    expected = "inconclusive" if evidence.now - evidence.started_at >= timedelta(days=7) else "continue"
    enough = candidate.recent_requests >= 50 and candidate.ratings >= 10
    if enough and production.mean_rating and None not in (production.mean_latency_ms, candidate.mean_latency_ms):
        mine, theirs = (
            0.7 * a.mean_rating / 5 + 0.3 * max(0, (5000 - a.mean_latency_ms) / 5000)  # type: ignore[operator]
            for a in (candidate, production)
        )
        if math.isclose(mine, 1.05 * theirs) or math.isclose(mine, 0.8 * theirs):
            return
        expected = "promote" if mine > 1.05 * theirs else "rollback" if mine < 0.8 * theirs else expected
    assert RULE.decide(evidence).outcome == expected
