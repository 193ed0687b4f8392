"""Harm by segment: the segments of a visitor, detection of harm, and its effect on a decision."""

from __future__ import annotations

import json
from typing import Any

import pytest

from homeprices.experiment.confidence_sequences import half_width
from homeprices.experiment.evidence import Evidence, SampleMoments, SegmentRatings
from homeprices.experiment.policies import document_of, from_document
from homeprices.experiment.policies.segments import SegmentRule, segment_effects
from homeprices.experiment.policies.sequential import SequentialPolicy
from tests.unit.experiment.looks import look, stratum

SEGMENTS = SegmentRule()
RULE = SequentialPolicy(segments=SEGMENTS)
PLAIN = SequentialPolicy()


def sample(n: int, mean: float, variance: float = 1.3) -> SampleMoments:
    return SampleMoments(n=n, mean=mean if n else 0.0, variance=variance if n > 1 else 0.0)


def segment(name: str, stars: tuple[float, float], rated: tuple[int, int] = (100, 40)) -> SegmentRatings:
    pair = sample(rated[0], stars[0]), sample(rated[1], stars[1])
    return SegmentRatings(name=name, ratings=(pair,))


def won(*segments: SegmentRatings, **more: Any) -> Evidence:
    """Evidence of a candidate that wins overall."""
    return look((3.4, 4.2), segments=segments, **more)


EAST_IS_HARMED = segment("region east", (4.0, 2.8))


def test_the_shipped_list_has_regions_sizes_prices_and_known_places() -> None:
    assert SEGMENTS.names == (
        "region centre", "region north", "region east", "region south-east", "region south", "region west",
        "region general", "up to 2 bedrooms", "above 2 bedrooms", "up to 50 lakh", "above 50 to 100 lakh",
        "above 100 lakh", "known place", "unknown place",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "known", "price", "names"),
    [
        ({"location": "whitefield", "bhk": 2}, True, 50.0, ("region east", "up to 2 bed", "up to 50 lakh", "known")),
        ({"location": "Mars", "bhk": 3}, False, 50.01, ("region general", "above 2 bed", "above 50 to 100", "unknown")),
        ({"location": "Hebbal", "bhk": 2.5}, True, 100.01, ("region north", "above 2 bed", "above 100 lakh", "known")),
        ({"location": "Hebbal", "bhk": 2}, None, None, ("region north", "up to 2 bed")),
        ({"location": 7, "bhk": True}, None, None, ()),
        ({}, None, None, ()),
    ],
)  # fmt: skip
def test_a_visitor_is_in_one_segment_of_each_kind_and_in_none_of_a_missing_value(
    inputs: dict[str, Any], known: bool | None, price: float | None, names: tuple[str, ...]
) -> None:
    found = SEGMENTS.segments_of(inputs, known, price)
    assert len(found) == len(names) and all(a.startswith(b) for a, b in zip(found, names, strict=True))
    assert set(found) <= set(SEGMENTS.names)


def test_a_kind_that_the_policy_leaves_out_has_no_segments() -> None:
    rule = SegmentRule(regions=("east",), bedrooms=(), price_lakh=(60,), known_place=False)
    assert rule.names == ("region east", "up to 60 lakh", "above 60 lakh")
    assert rule.segments_of({"location": "Hebbal", "bhk": 2}, True, 70.0) == ("above 60 lakh",)


def test_a_win_with_a_harmed_segment_continues_and_names_it_until_the_time_is_up() -> None:
    assert RULE.decide(won()).outcome == "promote"
    found = RULE.decide(won(EAST_IS_HARMED))
    assert found.outcome == "continue"
    named = "; nothing is promoted while CO1 is worse in region east (-1.20 stars by 140 visitors)."
    assert found.reason.startswith("CO1 scores 0.1120 better than BO1") and found.reason.endswith(named)
    ended = RULE.decide(won(EAST_IS_HARMED, days=14))
    assert (ended.outcome, named in ended.reason) == ("inconclusive", True)
    assert PLAIN.decide(won(EAST_IS_HARMED)).outcome == "promote", "without the section, nothing is checked"


def test_several_harmed_segments_are_all_named() -> None:
    reason = RULE.decide(won(EAST_IS_HARMED, segment("unknown place", (4.0, 2.9)))).reason
    assert "region east (-1.20 stars by 140 visitors) and unknown place (-1.10 stars by 140 visitors)." in reason


@pytest.mark.parametrize(
    "segments",
    [
        (segment("region east", (4.0, 3.7)),),
        (segment("region east", (4.0, 1.0), (400, 19)),),
        (segment("region east", (4.0, 1.0), (19, 40)),),
        (segment("region mars", (4.0, 1.0)),),
        tuple(segment(name, (3.4, 4.2)) for name in SEGMENTS.names),
    ],
    ids=["by chance", "few of the candidate's", "few of production's", "not in the policy", "better everywhere"],
)
def test_what_chance_explains_too_few_voices_and_other_segments_delay_nothing(
    segments: tuple[SegmentRatings, ...],
) -> None:
    assert RULE.decide(won(*segments)).outcome == "promote"


def test_a_harmed_segment_causes_no_outcome_of_its_own() -> None:
    """It takes nothing from a rollback, and ends no experiment that would go on."""
    for evidence, outcome in ((look((4.2, 3.4)), "rollback"), (look(), "continue"), (look(days=14), "inconclusive")):
        harmed = evidence.model_copy(update={"segments": (EAST_IS_HARMED,)})
        assert (PLAIN.decide(harmed).outcome, RULE.decide(harmed).outcome) == (outcome, outcome)


def test_the_bounds_of_a_segment_are_those_of_the_first_step_of_holm() -> None:
    """Where only one segment is close, it is harmed exactly when its upper bound is below the margin."""
    [effect] = [e for e in segment_effects(won(EAST_IS_HARMED), SEGMENTS) if e.name == "region east"]
    width = half_width(1.3 / 100 + 1.3 / 40, 140, alpha=0.05 / 14, expected=200, one_sided=True)
    assert effect.lower == pytest.approx(-1.2 - width) and effect.upper == pytest.approx(-1.2 + width)
    for below, harmed in ((1e-6, True), (-1e-6, False)):
        at = won(segment("region east", (4.0, 4.0 - width - below)))
        assert RULE.decide(at).outcome == ("continue" if harmed else "promote")
        allowed = RULE.model_copy(update={"segments": SegmentRule(margin=-0.5)})
        assert allowed.decide(won(segment("region east", (4.0, 3.5 - width - below)))).outcome == (
            "continue" if harmed else "promote"
        )


def test_once_one_segment_is_harmed_the_others_are_allowed_more() -> None:
    width = half_width(1.3 / 100 + 1.3 / 40, 140, alpha=0.05 / 14, expected=200, one_sided=True)
    close = segment("unknown place", (4.0, 4.001 - width))
    assert [e.name for e in segment_effects(won(close), SEGMENTS) if e.harmed] == []
    both = [e for e in segment_effects(won(close, EAST_IS_HARMED), SEGMENTS) if e.harmed]
    assert [e.name for e in both] == ["region east", "unknown place"]
    assert both[1].upper is not None and both[1].upper > 0


def test_visitors_are_compared_within_their_epoch() -> None:
    """About 4 stars in the first epoch and 2 in the second, where the candidate has most visitors; by 0.2 apart."""
    strata = (stratum((4000, 400), (400, 40), (3.4, 4.2)), stratum((400, 4000), (40, 400), (3.4, 4.2), epoch=2))
    pairs = ((sample(200, 4.0), sample(20, 4.2)), (sample(20, 2.0), sample(200, 1.8)))
    evidence = look((3.4, 4.2)).model_copy(
        update={"strata": strata, "segments": (SegmentRatings(name="region east", ratings=pairs),)}
    )
    [effect] = [e for e in segment_effects(evidence, SEGMENTS) if e.name == "region east"]
    assert effect.stars == pytest.approx(0.0) and (effect.rated, effect.harmed) == ((220, 220), False)


def test_the_numbers_of_judged_segments_are_statistics_and_come_out_the_same_after_json() -> None:
    evidence = won(EAST_IS_HARMED, segment("region west", (4.0, 2.0), (9, 9)))
    found = RULE.decide(evidence)
    names = {name for name in found.statistics if name.startswith("segment ")}
    assert names == {f"segment region east: {name}" for name in ("stars", "lower", "upper", "p")}
    again = from_document(json.loads(json.dumps(document_of(RULE))))
    assert again.decide(Evidence.model_validate_json(evidence.model_dump_json())) == found
