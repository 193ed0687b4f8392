"""The sequential rule: each outcome with its reason, the order of outcomes, and the edges of evidence."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from homeprices.experiment.confidence_sequences import half_width
from homeprices.experiment.evidence import ClusteredProportion, Evidence, SampleMoments, VariantSummary, WithoutNetwork
from homeprices.experiment.policies import load
from homeprices.experiment.policies.limits import Guardrails, Margins, Minimum, Primary
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.experiment.treatment_effect import composite_effect, stratified_difference
from tests.unit.experiment.looks import BEGIN, happened, look, paired, stratum, variant

RULE = SequentialPolicy()


def test_a_better_candidate_is_promoted_with_its_numbers_in_a_sentence() -> None:
    found = RULE.decide(look((3.4, 4.2)))
    assert found.outcome == "promote"
    assert found.reason.startswith("CO1 scores 0.1120 better than BO1, between 0.0")
    assert "(+0.80 stars by 500 visitors, +0.0 ms): even the lower bound is above 0." in found.reason
    assert found.statistics["lower"] > 0


def test_a_worse_candidate_is_rolled_back() -> None:
    found = RULE.decide(look((4.2, 3.4)))
    assert (found.outcome, "even the upper bound is below 0." in found.reason) == ("rollback", True)


def test_equal_arms_go_on_until_the_time_is_up() -> None:
    assert RULE.decide(look()).outcome == "continue"
    ended = RULE.decide(look(days=14))
    assert (ended.outcome, ended.reason.startswith("The 14 days are up (day 14.0): CO1 scores")) == (
        "inconclusive",
        True,
    )


@pytest.mark.parametrize(
    ("rated", "assigned", "missing"),
    [
        ((400, 29), (4000, 1000), "29 of 30 rated visitors in the smaller arm"),
        ((400, 9), (4000, 1000), "9 of 10 ratings of CO1"),
        ((100, 40), (160, 40), "40 of 50 requests of CO1"),
    ],
)
def test_too_little_evidence_decides_nothing_and_names_what_is_missing(
    rated: tuple[int, int], assigned: tuple[int, int], missing: str
) -> None:
    found = RULE.decide(look((1.0, 5.0), rated=rated, assigned=assigned))
    assert (found.outcome, missing in found.reason) == ("continue", True), found.reason
    assert "lower" not in found.statistics


def test_a_broken_split_is_invalid_whatever_the_ratings_say() -> None:
    found = RULE.decide(look((3.0, 5.0), assigned=(4250, 750)))
    assert found.outcome == "invalid"
    assert found.reason.startswith("The split is broken: 750 of 5000 visitors were the candidate's, and 1000 should")


@pytest.mark.parametrize(
    "harm", [{"errors": happened(60, 1000)}, {"slow": happened(60, 1000)}, {"paired": paired(100, 0.09)}]
)
def test_a_broken_split_hides_no_harm(harm: dict[str, Any]) -> None:
    """Whoever breaks the split on purpose keeps no failing candidate in front of visitors."""
    broken = look((3.0, 5.0), assigned=(4250, 750), **harm)
    assert RULE.decide(broken).outcome == "rollback"
    assert SequentialPolicy(schema_version=1).decide(broken).outcome == "invalid", "as it was recorded then"


def test_a_broken_split_makes_ratings_of_no_use_for_a_rollback_either() -> None:
    assert RULE.decide(look((5.0, 3.0), assigned=(4250, 750))).outcome == "invalid"


@pytest.mark.parametrize("silent", ["production", "candidate"])
def test_an_arm_without_requests_for_a_day_is_missing_data(silent: str) -> None:
    evidence = look((3.0, 5.0))
    quiet = getattr(evidence, silent).model_copy(update={"recent_requests": 0})
    found = RULE.decide(evidence.model_copy(update={silent: quiet}))
    assert (found.outcome, f"Data is missing: {silent}" in found.reason) == ("invalid", True)
    young = evidence.model_copy(update={silent: quiet, "now": BEGIN + timedelta(hours=23)})
    assert RULE.decide(young).outcome == "continue", "too young to be missing anything, or to be promoted"


def test_a_quiet_site_is_no_missing_data() -> None:
    evidence = look(rated=(8, 1), assigned=(40, 4), days=9)
    quiet = evidence.candidate.model_copy(update={"recent_requests": 0})
    slow = evidence.production.model_copy(update={"recent_requests": 4})
    assert RULE.decide(evidence.model_copy(update={"candidate": quiet, "production": slow})).outcome == "continue"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ({"errors": happened(60, 1000)}, "fails too often: 6.0% of its requests, and 2.0% are allowed"),
        ({"slow": happened(60, 1000)}, "too slow: 6.0% of its answers took more than 100 ms, and 1.0% may"),
        ({"paired": paired(100, 0.09)}, "farther from the actual prices: by 9.0% of the price on average"),
    ],
)
def test_harm_comes_before_benefit(harm: dict[str, Any], says: str) -> None:
    found = RULE.decide(look((3.0, 5.0), **harm))
    assert (found.outcome, says in found.reason) == ("rollback", True), found.reason


@pytest.mark.parametrize(
    "nothing",
    [
        {"errors": happened(20, 1000)},
        {"slow": happened(12, 1000)},
        {"errors": happened(3, 40)},
        {"paired": paired(100, -0.05)},
        {"paired": paired(49, 0.5)},
    ],
)
def test_what_chance_explains_is_no_harm(nothing: dict[str, Any]) -> None:
    assert RULE.decide(look(**nothing)).outcome == "continue"


def test_errors_of_one_visitor_are_not_errors_of_many() -> None:
    """Sixty errors in a row of one visitor say less of the next visitor than one error each of sixty."""
    one = ClusteredProportion(
        visitors=941, hits=60, trials=1000, hits_squared=3600, trials_squared=940 + 3600, hits_times_trials=3600
    )
    assert RULE.decide(look(errors=one)).outcome == "continue"


def test_a_bound_on_the_margin_decides_nothing_and_beyond_it_it_does() -> None:
    better, worse = look((3.4, 4.2)), look((4.2, 3.4))
    lower, upper = RULE.decide(better).statistics["lower"], RULE.decide(worse).statistics["upper"]
    for margin, outcome in ((lower, "continue"), (math.nextafter(lower, -1), "promote")):
        assert SequentialPolicy(margins=Margins(promote=margin)).decide(better).outcome == outcome
    for margin, outcome in ((upper, "continue"), (math.nextafter(upper, 1), "rollback")):
        assert SequentialPolicy(margins=Margins(harm=margin)).decide(worse).outcome == outcome


def test_a_price_error_on_its_limit_is_no_harm_and_beyond_it_it_is() -> None:
    farther = look(paired=paired(100, 0.09))
    bound = RULE.decide(farther).statistics["price_error_excess_lower"]
    for limit, outcome in ((bound, "continue"), (math.nextafter(bound, 0), "rollback")):
        rule = SequentialPolicy(guardrails=Guardrails(price_error=limit))
        assert rule.decide(farther).outcome == outcome


def test_a_guardrail_has_bounds_from_its_least_visitors_on_on_both_sides_of_its_mean() -> None:
    found = RULE.decide(look(paired=paired(50, 0.01))).statistics
    width = half_width(0.01 / 50, 50, alpha=RULE.error_rates.guardrail, expected=500, one_sided=True)
    assert found["price_error_excess_lower"] == pytest.approx(0.01 - width)
    assert found["price_error_excess_upper"] == pytest.approx(0.01 + width)
    assert "price_error_excess_lower" not in RULE.decide(look(paired=paired(49, 0.01))).statistics


def test_an_answer_is_slow_above_twice_the_99th_percentile_of_production_and_never_below_100_ms() -> None:
    assert (RULE.slow_over(80.0), RULE.slow_over(20.0)) == (160.0, 100.0)


def test_missing_data_is_told_from_the_hour_on_that_the_policy_names() -> None:
    evidence = look((3.0, 5.0))
    quiet = evidence.candidate.model_copy(update={"recent_requests": 0})
    for age, outcome in ((timedelta(hours=24), "invalid"), (timedelta(hours=24, seconds=-1), "continue")):
        silent = evidence.model_copy(update={"candidate": quiet, "now": BEGIN + age})
        assert RULE.decide(silent).outcome == outcome


def test_exactly_the_minimum_of_data_decides_in_whichever_variant_it_is() -> None:
    assert RULE.decide(look((1.0, 5.0), rated=(400, 30))).outcome == "promote"
    assert RULE.decide(look((1.0, 5.0), rated=(30, 30), assigned=(200, 50))).outcome == "promote"
    found = RULE.decide(look((1.0, 5.0), rated=(29, 400)))
    assert (found.outcome, "29 of 30 rated visitors in the smaller arm" in found.reason) == ("continue", True)


def test_equal_scores_are_no_worse() -> None:
    assert RULE.decide(look((4.0, 4.0))).reason.startswith("CO1 scores 0.0000 better than BO1")


def test_variants_without_a_common_epoch_cannot_be_compared() -> None:
    apart = (
        stratum((4000, 0), (400, 0), (3.6, 0.0), epoch=1, share=0.0),
        stratum((0, 1000), (0, 100), (0.0, 5.0), epoch=2, share=100.0),
    )
    found = RULE.decide(look((3.6, 5.0), strata=apart))
    assert found.outcome == "continue"
    assert found.reason.endswith("have no visitors in common epochs yet, so they cannot be compared.")


def test_what_the_circuit_breaker_stopped_is_rolled_back_even_with_a_broken_split() -> None:
    found = RULE.decide(look((3.0, 5.0), assigned=(4250, 750), stopped="9 of 9 answers failed"))
    assert (found.outcome, found.reason) == (
        "rollback",
        "The router's circuit breaker had stopped CO1: 9 of 9 answers failed",
    )


def test_a_promotion_waits_while_inputs_drift_when_the_policy_says_so() -> None:
    evidence = look((3.4, 4.2), drift="BO1: The area has changed.")
    noting = RULE.decide(evidence)
    assert (noting.outcome, noting.reason.endswith("this policy notes: BO1: The area has changed.")) == (
        "promote",
        True,
    )
    waiting = SequentialPolicy(drift="wait").decide(evidence)
    assert (waiting.outcome, "waits because of drift (BO1: The area has changed.)" in waiting.reason) == (
        "continue",
        True,
    )
    assert SequentialPolicy(drift="wait").decide(look((4.2, 3.4), drift="BO1: x")).outcome == "rollback", (
        "harm waits for none"
    )
    late = SequentialPolicy(drift="wait").decide(look((3.4, 4.2), days=14, drift="BO1: x"))
    assert late.outcome == "inconclusive", "the time runs on"


def left(
    stars: tuple[float, float], rated: tuple[int, int] = (395, 98), network: str = "ab12", **more: Any
) -> WithoutNetwork:
    """What remains without seven voices of one network."""
    [epoch] = [stratum((4000, 1000), rated, stars)]
    return WithoutNetwork(network=network, voices=7, ratings=(epoch.ratings,), **more)


@pytest.mark.parametrize(("stars", "result"), [((3.4, 4.2), "is better"), ((4.2, 3.4), "is worse")])
def test_a_result_that_rests_on_one_network_decides_nothing_and_says_so(
    stars: tuple[float, float], result: str
) -> None:
    found = RULE.decide(look(stars, without=(left(stars, network="cd34"), left((3.6, 3.6)))))
    assert (found.outcome, found.reason.endswith(f"; that CO1 {result} rests on one network (ab12, 7 voices).")) == (
        "continue",
        True,
    ), found.reason
    firm = RULE.decide(look(stars, without=(left(stars),)))
    assert firm.outcome == {"is better": "promote", "is worse": "rollback"}[result]
    assert {"lower_without_network", "upper_without_network"} <= set(firm.statistics)


def test_without_a_network_the_minimum_of_voices_must_still_be_there() -> None:
    found = RULE.decide(look((2.0, 4.8), rated=(400, 36), without=(left((2.0, 4.8), (400, 29)),)))
    assert (found.outcome, "rests on one network" in found.reason) == ("continue", True)


@pytest.mark.parametrize("stars", [(3.4, 4.2), (4.2, 3.4)])
def test_a_result_that_rests_on_few_extreme_voices_decides_nothing(stars: tuple[float, float]) -> None:
    evidence = look(stars)
    [whole] = evidence.strata
    cut = whole.model_copy(update={"trimmed": stratum((4000, 1000), (400, 100), (3.6, 3.6)).ratings})
    found = RULE.decide(evidence.model_copy(update={"strata": (cut,)}))
    assert (found.outcome, "rests on few extreme voices" in found.reason) == ("continue", True)
    same = whole.model_copy(update={"trimmed": whole.ratings})
    assert RULE.decide(evidence.model_copy(update={"strata": (same,)})).outcome == RULE.decide(evidence).outcome


def test_fifty_prices_of_which_one_network_told_most_roll_nobody_back() -> None:
    prices = paired(60, 0.09)
    few = left((3.6, 3.6), price_difference=SampleMoments(n=10, mean=0.0, variance=0.01))
    found = RULE.decide(look(paired=prices, without=(few,)))
    assert (found.outcome, "that CO1 is farther from the actual prices rests on one network" in found.reason) == (
        "continue",
        True,
    )
    extreme = prices.model_copy(update={"trimmed": SampleMoments(n=60, mean=0.01, variance=0.01)})
    found = RULE.decide(look(paired=extreme))
    assert (found.outcome, "from the actual prices rests on few extreme voices" in found.reason) == ("continue", True)


def test_a_rollback_by_prices_that_holds_without_the_extreme_voices_happens() -> None:
    fewest = SampleMoments(n=RULE.guardrails.visitors, mean=0.09, variance=0.001)
    prices = paired(60, 0.09).model_copy(update={"trimmed": fewest})
    found = RULE.decide(look(paired=prices))
    assert (found.outcome, found.statistics["price_error_excess_lower_trimmed"] > 0) == ("rollback", True)


def test_ratings_promote_after_a_day_at_the_earliest_and_harm_does_not_wait() -> None:
    """170 voices in 43 s said promote on day 0.0."""
    young = RULE.decide(look((3.4, 4.2), days=0.9))
    assert (young.outcome, young.reason.endswith(": ratings promote from 24 h on.")) == ("continue", True)
    assert RULE.decide(look((3.4, 4.2), days=1)).outcome == "promote"
    harms: tuple[dict[str, Any], ...] = ({"errors": happened(60, 1000)}, {"slow": happened(60, 1000)})
    for harm in harms:
        assert RULE.decide(look((3.4, 4.2), days=0.01, **harm)).outcome == "rollback"
    assert RULE.decide(look((4.2, 3.4), days=0.9)).outcome == "rollback"


def test_demo_and_documents_of_the_first_schema_have_no_least_duration() -> None:
    for policy in (load("demo"), SequentialPolicy(schema_version=1)):
        assert policy.decide(look((3.4, 4.2), days=0.01)).outcome == "promote"


def test_margins_move_both_limits() -> None:
    strict = SequentialPolicy(margins=Margins(promote=0.2, harm=-0.2))
    assert (strict.decide(look((3.4, 4.2))).outcome, strict.decide(look((4.2, 3.4))).outcome) == (
        "continue",
        "continue",
    )


def test_the_strict_mode_needs_more_evidence() -> None:
    strict = SequentialPolicy(primary=Primary(bounds="bounded"))
    little, much = look((3.4, 4.0), rated=(240, 60)), look((3.4, 4.0), rated=(4000, 1000), assigned=(40000, 10000))
    assert (RULE.decide(little).outcome, strict.decide(little).outcome) == ("promote", "continue")
    assert strict.decide(much).outcome == "promote"
    assert strict.decide(look((4.0, 3.0), rated=(4000, 1000), assigned=(40000, 10000))).outcome == "rollback"


def test_latency_counts_as_the_composite_says() -> None:
    """1,000 ms are 0.06 of the composite, which is as much as 0.43 stars."""
    evidence = look((3.6, 3.6), rated=(4000, 1000), assigned=(40000, 10000))
    slow = evidence.candidate.model_copy(update={"mean_latency_ms": 1005.0})
    found = RULE.decide(evidence.model_copy(update={"candidate": slow}))
    assert found.outcome == "rollback"
    assert found.statistics["estimate"] == pytest.approx(-0.06)


def test_epochs_are_strata_so_that_a_change_of_share_makes_no_difference_of_its_own() -> None:
    """In the second epoch everybody is happier and the candidate has more visitors: pooled, it would look better."""
    early = stratum((8000, 2000), (800, 200), (3.0, 3.0), epoch=1, share=20)
    late = stratum((5000, 5000), (500, 500), (4.5, 4.5), epoch=2, share=50)
    evidence = look().model_copy(update={"strata": (early, late)})
    found = RULE.decide(evidence)
    assert (found.outcome, found.statistics["stars"]) == ("continue", 0.0)


def test_an_epoch_that_only_one_arm_rated_in_tells_nothing() -> None:
    lone = stratum((100, 0), (100, 0), (1.0, 0.0), epoch=2, share=0)
    evidence = look((3.4, 4.2))
    both = evidence.model_copy(update={"strata": (*evidence.strata, lone)})
    assert RULE.decide(both).statistics["stars"] == pytest.approx(0.8)
    only = evidence.model_copy(update={"strata": (lone,)})
    assert composite_effect(only, RULE.primary) is None
    loose = SequentialPolicy(minimum=Minimum(rated_visitors=2))
    apart = (stratum((100, 0), (100, 0), (1.0, 0.0)), stratum((0, 100), (0, 100), (0.0, 5.0), epoch=2, share=100))
    found = loose.decide(evidence.model_copy(update={"strata": apart}))
    assert "no visitors in common epochs" in found.reason


def test_the_stratified_difference_of_equal_epochs_is_worked_out_by_hand() -> None:
    """Weights 80·20/100 = 16 and 50·50/100 = 25; differences 0.5 and 0.1: (8 + 2.5) / 41."""
    strata = [
        stratum((80, 20), (80, 20), (3.0, 3.5), variance=1.0),
        stratum((50, 50), (50, 50), (4.0, 4.1), variance=1.0, epoch=2),
    ]
    estimate, variance = stratified_difference(strata)
    assert estimate == pytest.approx(10.5 / 41)
    assert variance == pytest.approx((16 / 41) ** 2 * (1 / 80 + 1 / 20) + (25 / 41) ** 2 * (1 / 50 + 1 / 50))


def test_empty_arms_go_on() -> None:
    nothing = VariantSummary(bundle="BO1", requests=0, recent_requests=0, ratings=0)
    evidence = Evidence(
        experiment="BO1-CO1",
        production=nothing,
        candidate=nothing.model_copy(update={"bundle": "CO1"}),
        started_at=BEGIN,
        now=BEGIN,
    )
    assert RULE.decide(evidence).outcome == "continue"
    assert RULE.decide(evidence.model_copy(update={"now": BEGIN + timedelta(days=30)})).outcome == "invalid"


def test_one_visitor_decides_nothing() -> None:
    assert RULE.decide(look((1.0, 5.0), rated=(1, 1), assigned=(4, 1), variance=0.0)).outcome == "continue"
    assert RULE.decide(look(errors=happened(1, 1))).outcome == "continue"


def test_equal_ratings_of_all_are_no_certainty() -> None:
    same = RULE.decide(look((4.0, 4.0), variance=0.0))
    assert (same.outcome, same.statistics["standard_error"] > 0) == ("continue", True)
    assert RULE.decide(look((4.0, 5.0), variance=0.0)).outcome == "promote"


def test_huge_counts_are_counted() -> None:
    huge = 10**12
    found = RULE.decide(look((3.6, 3.601), rated=(8 * huge, 2 * huge), assigned=(8 * huge, 2 * huge)))
    assert found.outcome == "promote"
    assert all(math.isfinite(value) for value in found.statistics.values())


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_is_no_number_is_refused_before_it_can_decide(broken: float) -> None:
    with pytest.raises(ValidationError):
        variant("CO1", 10, 10, broken)
    with pytest.raises(ValidationError):
        SampleMoments(n=3, mean=broken)


def test_a_clock_that_is_behind_makes_the_experiment_no_younger_than_its_start() -> None:
    assert RULE.decide(look(days=-1)).outcome == "continue"


def test_time_runs_the_same_through_a_change_of_clocks() -> None:
    """Berlin goes to summer time on 29 March 2026: fourteen days by the calendar are an hour less."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("Europe/Berlin")
    start = BEGIN.replace(day=20).astimezone(zone)
    later = (start + timedelta(days=14)).replace(tzinfo=zone)
    evidence = look().model_copy(update={"started_at": start, "now": later})
    assert evidence.age == timedelta(days=14) - timedelta(hours=1)
    assert RULE.decide(evidence).outcome == "continue"


stars = st.floats(1, 5)
sizes = st.tuples(st.integers(0, 3000), st.integers(0, 3000))
ORDER = ["rollback", "inconclusive", "continue", "promote"]


@given(st.tuples(stars, stars), sizes, st.floats(0, 4), st.integers(1, 20), st.floats(0, 30))
def test_more_of_the_same_evidence_never_turns_a_rollback_into_a_promotion_or_back(
    means: tuple[float, float], rated: tuple[int, int], variance: float, times: int, days: float
) -> None:
    def decide(factor: int) -> str:
        counts = (rated[0] * factor, rated[1] * factor)
        return RULE.decide(
            look(means, rated=counts, assigned=(4000 * factor, 1000 * factor), variance=variance, days=days)
        ).outcome

    assert {decide(1), decide(times)} != {"rollback", "promote"}


@given(st.tuples(stars, stars), sizes, st.floats(0, 4), st.floats(0, 30))
def test_every_decision_has_a_sentence_and_survives_json(
    means: tuple[float, float], rated: tuple[int, int], variance: float, days: float
) -> None:
    evidence = look(means, rated=rated, variance=variance, days=days)
    found = RULE.decide(evidence)
    assert found.reason.endswith(".")
    again = RULE.decide(Evidence.model_validate(json.loads(json.dumps(evidence.model_dump(mode="json")))))
    assert again == found
