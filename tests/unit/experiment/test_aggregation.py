"""From rows of the log to evidence: who counts, where, and in no order."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeprices.experiment.aggregation import (
    AggregatedEvidence,
    ExperimentRows,
    RescoredPrice,
    aggregate,
)
from homeprices.experiment.evidence import Evidence, SampleMoments, clustered_proportion, sample_moments
from homeprices.experiment.exposures import ActualPrice, VisitorExposures, VisitorRatings
from homeprices.experiment.policies.base import BurstRule, VoiceRule
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.predictions.feedback import price_error
from tests.unit.experiment.looks import BEGIN


def visitor(name: str, variant: str = "production", **more: Any) -> VisitorExposures:
    given = {"epoch": 1, "moved": False, "exposures": 2, "recent": 1, "busiest_day": 2, "errors": 0, "slow": 0}
    sums = {"milliseconds": 10.0, "milliseconds_squared": 52.0}
    return VisitorExposures(**{"visitor": name, "variant": variant, **given, **sums, **more})


def rater(name: str, stars: float, ratings: int = 1, **more: Any) -> VisitorRatings:
    given = {"accurate": 0, "too_high": 0, "too_low": 0, "of_fallbacks": 0, **more}
    return VisitorRatings(visitor=name, ratings=ratings, stars=stars, **given)


def told(
    name: str, price: float, *, variant: str = "production", estimate: float = 50.0, fallback: bool = False
) -> ActualPrice:
    return ActualPrice(visitor=name, variant=variant, fallback=fallback, inputs={}, estimate=estimate, price=price)  # type: ignore[arg-type]


def of(log: ExperimentRows) -> AggregatedEvidence:
    return aggregate(log, ("BO1", "CO1"))


def log(
    visitors: list[VisitorExposures],
    raters: list[VisitorRatings] = [],  # noqa: B006
    scored: list[RescoredPrice] = [],  # noqa: B006
    **more: Any,
) -> ExperimentRows:
    return ExperimentRows(visitors=visitors, raters=raters, scored=scored, p99={}, **{"shares": {1: 20.0}, **more})


def test_a_visitor_has_one_voice_however_often_it_speaks() -> None:
    found = of(log([visitor("a"), visitor("b")], [rater("a", 45, 9), rater("b", 1, 1)]))
    assert found.strata[0].ratings[0] == SampleMoments(n=2, mean=3.0, variance=8.0)
    assert (found.variants[0].ratings, found.variants[0].mean_rating, found.variants[0].rated_visitors) == (10, 4.6, 2)


def test_testers_and_bots_are_left_out_of_everything_and_counted() -> None:
    people = [visitor("a"), visitor("bot", busiest_day=201), visitor("tester"), visitor("c", "candidate")]
    raters = [rater("a", 4), rater("bot", 1), rater("tester", 1), rater("c", 5)]
    scored = [RescoredPrice(told("bot", 40.0), 50.0, 50.0), RescoredPrice(told("tester", 40.0), 50.0, 50.0)]
    found = of(log(people, raters, scored, testers={"tester"}))
    assert (found.left_out["bots"], found.left_out["testers"]) == (1, 1)
    assert (found.variants[0].visitors, found.variants[1].visitors, found.strata[0].assigned) == (1, 1, (1, 1))
    assert found.strata[0].ratings[0].mean == 4.0
    assert found.paired.difference.n == 0


def test_whom_a_change_of_share_moved_counts_where_he_was_assigned_first_and_nowhere_else() -> None:
    people = [visitor("a"), visitor("m", moved=True, errors=1), visitor("c", "candidate", epoch=2)]
    found = of(log(people, [rater("a", 4), rater("m", 1)], shares={1: 20.0, 2: 30.0}))
    assert [stratum.assigned for stratum in found.strata] == [(2, 0), (0, 1)]
    assert (found.variants[0].visitors, found.left_out["moved"], found.strata[0].ratings[0].n) == (1, 1, 1)


def test_a_network_has_few_voices_however_many_browsers_it_opens() -> None:
    """The honest rate the candidate with four stars; 170 browsers of one address rate it with one, within a minute."""
    honest = [visitor(f"h{place}", "candidate", network=f"home{place}", first=BEGIN) for place in range(100)]
    crowd = [
        visitor(f"a{place:03}", "candidate", network="attacker", first=BEGIN + timedelta(seconds=place / 4))
        for place in range(170)
    ]
    raters = [rater(row.visitor, 4.0, first=row.first) for row in honest]
    raters += [rater(row.visitor, 1.0, first=row.first) for row in crowd]
    scored = [RescoredPrice(told(row.visitor, 100.0, variant="candidate"), 100.0, 95.0) for row in crowd]
    found = of(log([*honest, *crowd], raters, scored, voices=VoiceRule(visitors_a_day=100, voices_a_day=10)))
    [_, rated] = found.strata[0].ratings
    assert (rated.n, rated.mean) == pytest.approx((102, (400 + 2) / 102))
    assert (found.strata[0].assigned, found.errors.visitors, found.paired.difference.n) == ((0, 102), 102, 1)
    assert {name: count for name, count in found.left_out.items() if count} == {
        "visitors_of_a_network_beyond_day": 70,
        "visitors_of_a_network_beyond_share": 98,
        "price_tellers_of_a_network_beyond_share": 1,
    }


def test_those_who_only_look_give_their_network_no_more_voices() -> None:
    """A hundred visitors of whom few rate: the limit of a share is of the raters as well, and of the price tellers."""
    people = [visitor(f"h{place:03}", network=f"home{place}", first=BEGIN) for place in range(1000)]
    people += [visitor(f"a{place:03}", network="a", first=BEGIN) for place in range(20)]
    raters = [rater(f"h{place:03}", 4.0, first=BEGIN) for place in range(50)]
    raters += [rater(f"a{place:03}", 1.0, first=BEGIN + timedelta(days=place % 2)) for place in range(20)]
    found = of(log(people, raters, voices=VoiceRule(voices_a_day=5)))
    assert (found.left_out["raters_of_a_network_beyond_day"], found.left_out["raters_of_a_network_beyond_share"]) == (
        10,
        9,
    )
    assert found.strata[0].ratings[0].n == 51


def test_voices_of_a_burst_are_left_out_and_counted_by_what_they_told() -> None:
    people = [visitor(f"v{place:03}", network=f"n{place}", first=BEGIN) for place in range(200)]
    raters = [rater(row.visitor, 1.0, first=BEGIN + timedelta(hours=5, seconds=n / 4)) for n, row in enumerate(people)]
    scored = [RescoredPrice(replace(told(row.visitor, 90.0), ts=BEGIN), 90.0, 95.0) for row in people]
    found = of(log(people, raters, scored, burst=BurstRule(), began=BEGIN))
    assert (found.left_out["raters_in_a_burst"], found.left_out["price_tellers_in_a_burst"]) == (190, 190)
    assert (found.strata[0].ratings[0].n, found.paired.difference.n) == (10, 10)


def test_visitors_of_a_log_without_networks_all_count() -> None:
    people = [visitor(f"v{place}") for place in range(300)]
    found = of(log(people, [rater(row.visitor, 4.0) for row in people], voices=VoiceRule()))
    assert (found.variants[0].visitors, found.strata[0].ratings[0].n) == (300, 300)


def test_a_fallback_is_an_error_of_the_candidate_and_its_rating_is_nobodys() -> None:
    people = [visitor("c", "candidate", exposures=3, errors=2), visitor("d", "candidate", exposures=1, errors=1)]
    found = of(log(people, [rater("c", 5, 1, of_fallbacks=1), rater("d", 0, 0, of_fallbacks=1)]))
    candidate = found.variants[1]
    assert (candidate.requests, candidate.errors, candidate.ratings, candidate.rated_visitors) == (4, 3, 1, 1)
    assert (found.errors.hits, found.errors.trials, found.errors.hits_squared) == (3, 4, 5)
    assert found.left_out["ratings_of_fallbacks"] == 2


def test_quick_feedback_is_counted_by_kind() -> None:
    found = of(log([visitor("a")], [rater("a", 9, 3, accurate=1, too_high=1, too_low=1)]))
    assert found.variants[0].quick_feedback == {"accurate": 1, "too_high": 1, "too_low": 1}


def test_latency_is_by_exposure_of_own_answers() -> None:
    """Three answers of 4, 5 and 9 ms, one of another visitor's requests failed: mean 6, variance 7."""
    people = [
        visitor("c", "candidate", exposures=2, milliseconds=9.0, milliseconds_squared=41.0),
        visitor("d", "candidate", exposures=2, errors=1, milliseconds=9.0, milliseconds_squared=81.0),
    ]
    candidate = of(log(people)).variants[1]
    assert (candidate.mean_latency_ms, candidate.latency_variance) == (6.0, 7.0)


def test_an_actual_price_scores_both_models_and_is_no_rating() -> None:
    scored = [
        RescoredPrice(told("a", 100.0, estimate=90.0), 90.0, 98.0),
        RescoredPrice(told("a", 100.0, estimate=90.0), 80.0, 98.0),
        RescoredPrice(told("c", 100.0, variant="candidate", estimate=130.0), 120.0, 130.0),
        RescoredPrice(told("d", 100.0), None, 130.0),
    ]
    found = of(log([visitor("a"), visitor("c", "candidate"), visitor("d")], scored=scored))
    assert (found.paired.difference.n, found.paired.difference.mean) == pytest.approx((2, (-0.13 + 0.1) / 2))
    assert (found.paired.production_error, found.paired.candidate_error) == pytest.approx((0.175, 0.16))
    assert found.paired.unpriced == 1
    assert (found.variants[0].prices, found.variants[0].mean_price_error) == pytest.approx((3, (0.1 + 0.1 + 0.5) / 3))
    assert (found.variants[0].ratings, found.variants[0].mean_rating) == (0, None)


def test_a_price_with_a_digit_too_few_counts_as_one_whole_price() -> None:
    assert (price_error(1000.0, 100.0), price_error(90.0, 100.0)) == pytest.approx((1.0, 0.1))


def test_what_is_no_number_is_left_out() -> None:
    assert sample_moments([3.0, math.nan, 5.0, math.inf]) == SampleMoments(n=2, mean=4.0, variance=2.0)
    assert sample_moments([]) == SampleMoments()
    assert sample_moments([4.0]) == SampleMoments(n=1, mean=4.0, variance=0.0)


def test_a_visitor_with_nothing_to_try_is_no_trial() -> None:
    assert clustered_proportion([(0, 0), (1, 2)]).visitors == 1


def test_an_empty_log_is_empty_evidence() -> None:
    found = of(log([]))
    assert [variant.requests for variant in found.variants] == [0, 0]
    assert found.strata[0].assigned == (0, 0)


rows = st.lists(
    st.tuples(
        st.sampled_from(["production", "candidate"]),
        st.integers(1, 2),
        st.floats(0.1, 1e6),
        st.integers(1, 5),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


@given(rows, st.randoms(use_true_random=False))
def test_permuting_visitors_changes_nothing_to_the_bit(rows: list[Any], shuffle: random.Random) -> None:
    people = [
        visitor(f"v{i}", variant, epoch=epoch, milliseconds=ms, milliseconds_squared=ms**2, moved=moved)
        for i, (variant, epoch, ms, _, moved) in enumerate(rows)
    ]
    raters = [rater(f"v{i}", row[3] + 0.1, 1) for i, row in enumerate(rows) if row[3] > 2]
    raters = [replace(row, stars=min(row.stars, 5.0)) for row in raters]
    scored = [RescoredPrice(told(f"v{i}", row[2]), row[2] * 1.1, row[2] * 0.7) for i, row in enumerate(rows)]
    first = of(log(people, raters, scored, shares={1: 20.0, 2: 30.0}))
    for mixed in (people, raters, scored):
        shuffle.shuffle(mixed)
    second = of(log(people, raters, scored, shares={1: 20.0, 2: 30.0}))
    assert second == first
    decisions = [
        SequentialPolicy().decide(
            Evidence(
                experiment="BO1-CO1",
                production=found.variants[0],
                candidate=found.variants[1],
                started_at=BEGIN,
                now=BEGIN,
                strata=found.strata,
                errors=found.errors,
                paired=found.paired,
            )
        )
        for found in (first, second)
    ]
    assert decisions[0] == decisions[1]


def test_ratings_count_in_each_segment_of_their_visitor_by_epoch_and_variant() -> None:
    people = [visitor("a"), visitor("b"), visitor("c", "candidate"), visitor("d", "candidate", epoch=2)]
    people += [visitor("m", moved=True), visitor("bot", busiest_day=201)]
    raters = [
        rater(name, stars) for name, stars in zip(("a", "b", "c", "d", "m", "bot"), (1, 3, 5, 2, 1, 1), strict=True)
    ]
    segments = {"east": {"a", "c", "d", "m", "bot", "who never rated"}, "small": {"a", "b"}, "empty": set()}
    found = of(log(people, raters, shares={1: 20.0, 2: 30.0}, segments=segments)).segments
    none, one = SampleMoments(), {stars: SampleMoments(n=1, mean=stars) for stars in (1.0, 2.0, 5.0)}
    assert [segment.name for segment in found] == ["east", "small", "empty"]
    assert found[0].ratings == ((one[1.0], one[5.0]), (none, one[2.0]))
    assert found[1].ratings == ((SampleMoments(n=2, mean=2.0, variance=2.0), none), (none, none))
    assert found[2].ratings == ((none, none), (none, none))


def test_a_network_is_a_small_part_of_every_segment_too() -> None:
    """Ten voices of one network are 2 % of five hundred, and would be half of a segment of twenty."""
    people = [visitor(f"h{n:03}", "candidate", network=f"home{n}", first=BEGIN) for n in range(490)]
    people += [visitor(f"a{n}", "candidate", network="attacker", first=BEGIN) for n in range(10)]
    raters = [rater(row.visitor, 4.0 if row.network != "attacker" else 1.0, first=BEGIN) for row in people]
    small = {row.visitor for row in people[480:]}
    found = of(log(people, raters, voices=VoiceRule(), segments={"small": small, "all": {r.visitor for r in people}}))
    assert found.strata[0].ratings[1].n == 500
    assert [segment.ratings[0][1].n for segment in found.segments] == [11, 500]
