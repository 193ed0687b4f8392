"""The error of a year: the levels of its trials, what the policy does with one, and what it says about it."""

from __future__ import annotations

import itertools
import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import InvalidInput
from homeprices.experiment.evidence import Evidence
from homeprices.experiment.policies import document_of, from_document, load
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.experiment.policies.year import LEAST_LEVEL, YearRule, promotion_error
from homeprices.release import control_record
from homeprices.release.trial_levels import YEAR, TrialLevel, spent
from tests.support.factories import Clock
from tests.unit.experiment.looks import look

YEARLY = SequentialPolicy(year=YearRule())
BETTER = (3.6, 4.0)


def test_the_expected_trials_of_a_year_get_equal_levels_at_first_and_smaller_ones_without_end() -> None:
    levels: list[float] = []
    for _ in range(80):
        levels.append(YearRule().level(levels))
    assert levels[:14] == pytest.approx([0.1 / 26] * 14), "half of the expected trials get an equal share"
    assert all(after < before for before, after in itertools.pairwise(levels[13:]))
    assert (math.fsum(levels) < 0.1, levels[25] > 0.1 / 80, levels[-1] > 0) == (True, True, True)


def test_a_trial_gets_at_most_half_of_what_is_left_and_nothing_is_promoted_after_all_is_spent() -> None:
    assert YearRule(trials=1).level([]) == 0.05
    assert YearRule(error_rate=0.02).level([0.01, 0.02]) == LEAST_LEVEL, "the operator has lowered the rate"
    assert SequentialPolicy(year=YearRule(error_rate=0.4, trials=1)).trial_level([]) == 0.05, "its own rate is the most"
    assert (SequentialPolicy().trial_level([]), load("demo").trial_level([]), load("composite").trial_level([])) == (
        None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_no_365_days_spend_more_than_the_year_has_whatever_starts_restarts_and_ends(seed: int) -> None:
    """On the control record itself, with bursts of short trials, pauses, and reverts in the middle of trials."""
    chance, bucket, clock = random.Random(seed), MemoryBucket(), Clock()
    rule, begun = YearRule(trials=chance.choice([1, 4, 26])), dict[datetime, float]()
    for number in range(1, 70):
        clock.forward(days=chance.choice([0.1, 1, 14, 14, 60]))
        record = control_record.start_experiment(
            bucket, f"BO{number}", f"CO{number}", 20, "test", clock=clock,
            level=lambda trials, at: rule.level(spent(trials, at)),
        )  # fmt: skip
        begun[clock.now] = record.level or math.nan
        for restart in range(chance.choice([0, 0, 1, 4])):
            clock.forward(hours=1)
            record = control_record.set_production(bucket, f"BO{1000 + restart}", "watch", "harm", clock=clock)
            begun[clock.now] = record.level or math.nan
        control_record.end_experiment(bucket, f"CO{number}", "person", "enough", clock=clock)
    sums = [math.fsum(level for at, level in begun.items() if first <= at < first + YEAR) for first in begun]
    assert 0.05 < max(sums) <= rule.error_rate + 200 * LEAST_LEVEL


def test_a_trial_that_two_lists_name_is_spent_once_and_one_of_a_year_ago_no_more() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    old, one, two = (
        TrialLevel(experiment=name, since=now - age, level=level)
        for name, age, level in (("a", YEAR, 0.03), ("b", YEAR - timedelta(seconds=1), 0.02), ("c", timedelta(0), 0.01))
    )
    again = one.model_copy(update={"since": one.since + timedelta(days=1), "level": 0.015})
    assert spent([old, one, two, one], now) == [0.02, 0.01]
    assert spent([one, again], now) == [0.02, 0.015], "the same pair tried again is another trial"
    assert spent([two], now - timedelta(days=1)) == [0.01], "of a clock that was ahead"


def test_a_level_replaces_the_rate_of_the_policy_and_is_on_record() -> None:
    plain, small, large = (YEARLY.decide(look(BETTER, level=level)) for level in (None, 0.0001, 0.04))
    assert (plain.outcome, small.outcome, large.outcome) == ("promote", "continue", "promote")
    assert small.statistics["lower"] < 0 < large.statistics["lower"] < plain.statistics["lower"]
    assert ("level" in plain.statistics, small.statistics["level"]) == (False, 0.0001)
    assert small.statistics["upper"] == plain.statistics["upper"], "harm keeps its rate"
    of_same_rate = YEARLY.decide(look(BETTER, level=0.05)).statistics
    assert {**plain.statistics, "level": 0.05} == of_same_rate
    assert SequentialPolicy().decide(look(BETTER, level=0.0001)) == small, "a policy without a year raises no level"


def test_with_a_level_ratings_promote_from_the_rated_visitors_of_the_year_on_and_harm_does_not_wait() -> None:
    few = look((3.0, 4.6), rated=(400, 99), level=0.004)
    waits = YEARLY.decide(few)
    assert (waits.outcome, waits.statistics["lower"] > 0) == ("continue", True)
    assert waits.reason.endswith("ratings promote from 100 rated visitors in the smaller arm on.")
    assert YEARLY.decide(look((3.0, 4.6), rated=(400, 100), level=0.004)).outcome == "promote"
    assert YEARLY.decide(look((3.0, 4.6), rated=(99, 400), level=0.004)).outcome == "continue"
    assert YEARLY.decide(look((3.0, 4.6), rated=(400, 99))).outcome == "promote", "a trial without a level"
    assert YEARLY.decide(look((3.0, 4.6), rated=(400, 99), level=0.004, days=14)).outcome == "inconclusive"
    assert YEARLY.decide(look((4.6, 3.0), rated=(400, 99), level=0.004)).outcome == "rollback"


def test_recorded_policies_and_evidence_have_neither_year_nor_level_and_decide_as_they_did() -> None:
    document, evidence = document_of(SequentialPolicy()), look(BETTER).model_dump(mode="json")
    del document["year"], evidence["level"]
    assert from_document(document) == SequentialPolicy()
    assert SequentialPolicy().decide(Evidence.model_validate(evidence)) == SequentialPolicy().decide(look(BETTER))


def test_the_shipped_policy_has_a_year_and_the_demo_has_none() -> None:
    shipped, demo = load("sequential"), load("demo")
    assert isinstance(shipped, SequentialPolicy) and shipped.year == YearRule()
    assert isinstance(demo, SequentialPolicy) and demo.year is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"error_rate": 0}, "year.error_rate"),
        ({"error_rate": 0.5}, "year.error_rate"),
        ({"trials": 0}, "year.trials"),
        ({"rated_visitors": 1}, "year.rated_visitors"),
        ({"rate": 0.1}, "year.rate"),
    ],
)
def test_a_year_that_cannot_be_is_refused_by_field(fields: dict[str, float], says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        from_document({"rule": "sequential", "year": fields})
    assert says in refused.value.fields


def test_the_error_of_a_promotion_is_one_sentence() -> None:
    yearly, plain = document_of(YEARLY), document_of(SequentialPolicy())
    start = "a candidate that is no better is promoted in at most"
    assert promotion_error(yearly, 0.1 / 26) == (
        f"{start} 0.385 % of such trials, and in at most 10 % of years, from 100 rated visitors in each variant on"
    )
    assert promotion_error(plain, None) == f"{start} 5 % of such trials; this trial spends none of the error of a year"
    assert promotion_error(plain, 0.004) == f"{start} 0.4 % of such trials"
    assert promotion_error(document_of(load("composite")), None) is None
