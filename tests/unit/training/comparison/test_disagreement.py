"""How far two bundles are apart on homes without a price, and which disagreement stops a candidate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from homeprices.errors import BundleRefused
from homeprices.experiment.policies.shadow_rule import ShadowRule
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Estimate, Predictor
from homeprices.training.comparison.disagreement import Disagreement, DisagreementMeter, estimates
from tests.support.bundles import make_bundle

RULE = ShadowRule(least_homes=200, factor=2)


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """BO1."""
    return Predictor(Bundle.open(make_bundle(tmp_path_factory.mktemp("bundles") / "BO1", "BO1")))


class Candidate:
    """BO1's estimates times the factor of the home's place, and wider intervals; it cannot price some areas."""

    version = "draft"

    def __init__(self, production: Predictor, factors: dict[str, float], fails_at: float | None = None) -> None:
        self.production, self.factors, self.fails_at, self.calls = production, factors, fails_at, 0

    def estimate(self, homes: list[Home]) -> list[Estimate]:
        self.calls += 1
        if any(home.total_sqft == self.fails_at for home in homes):
            raise BundleRefused("the model answers nan lakh rupees", "answers")
        return [
            one._replace(price=one.price * factor, low=one.low * factor / 1.1, high=one.high * factor * 1.1)
            for home, one in zip(homes, self.production.estimate(homes), strict=True)
            for factor in [self.factors.get(home.location, 1.0)]
        ]

    def estimate_seconds(self) -> float:
        return 1e-4


def homes(count: int, place: str, bhk: int = 2, first_area: int = 800) -> list[Home]:
    return [
        Home.parse({"total_sqft": first_area + number, "location": place, "bhk": bhk, "bath": 2})
        for number in range(count)
    ]


def compared(
    production: Predictor, asked: list[Home], factors: dict[str, float], fails_at: float | None = None
) -> Disagreement:
    """The comparison in pieces of 100 homes."""
    meter = DisagreementMeter(production, Candidate(production, factors, fails_at))  # type: ignore[arg-type]
    for start in range(0, len(asked), 100):
        meter.add(asked[start : start + 100])
    return meter.result(RULE.factor, RULE.place_homes)


def test_the_two_models_are_compared_by_place_size_and_price(production: Predictor) -> None:
    asked = [*homes(150, "Whitefield"), *homes(90, "Indira Nagar", bhk=7), *homes(60, "Nowhere", bhk=1)]
    found = compared(production, asked, {"Indira Nagar": 1.5, "Nowhere": 0.9})
    assert (found.first, found.homes) == ("BO1", 300)
    named = {(group.by, group.name): group.apart for group in found.groups}
    assert named["place", "Indira Nagar"].ratio == pytest.approx(1.5)
    assert named["place", "unknown places"].ratio == pytest.approx(0.9)
    assert named["place", "Whitefield"].ratio == pytest.approx(1.0)
    assert next(group.name for group in found.groups if group.by == "place") == "Indira Nagar", "farthest first"
    assert named["size", "bedrooms: 5 and more"].homes == 90 and named[
        "size", "bedrooms: 5 and more"
    ].ratio == pytest.approx(1.5)
    for by in ("price", "size", "place"):
        assert sum(group.apart.homes for group in found.groups if group.by == by) == 300
    overall = found.overall
    assert overall is not None and overall.beyond == 0 and overall.p99 == pytest.approx(1.5)
    wider = np.log(1.5 / 0.7 * 1.1**2) / np.log(1.5 / 0.7)
    assert overall.width == pytest.approx(wider) and found.microseconds[1] == pytest.approx(100)


def test_the_homes_that_differ_most_are_different_homes_the_farthest_first(production: Predictor) -> None:
    far = homes(1, "Rajaji Nagar")
    asked = [*far * 150, *homes(150, "Whitefield"), *homes(12, "Nowhere"), *far]
    found = compared(production, asked, {"Rajaji Nagar": 4.0, "Nowhere": 0.5})
    assert len(found.farthest) == 10 and len({str(home.inputs) for home in found.farthest}) == 10
    assert found.farthest[0].inputs["location"] == "Rajaji Nagar" and found.farthest[0].factor == pytest.approx(4)
    assert {home.inputs["location"] for home in found.farthest[1:]} == {"Nowhere"}


def test_what_a_visitor_wrote_is_cut_and_escaped(production: Predictor) -> None:
    asked = homes(1, "<b>\u202e" + "x" * 90)
    [far] = compared(production, asked, {}).farthest
    assert far.inputs["location"].startswith("<b>\\u202e") and len(far.inputs["location"]) == 60


def test_a_home_that_only_production_can_price_counts_as_farthest(production: Predictor) -> None:
    asked = homes(300, "Whitefield")
    candidate = Candidate(production, {}, fails_at=900)
    assert [each is None for each in estimates(candidate, asked)].count(True) == 1  # type: ignore[arg-type]
    assert candidate.calls < 25, "only the homes around it are tried again"
    found = compared(production, asked, {}, fails_at=900)
    assert found.overall is not None and (found.overall.failed, found.overall.homes) == (1, 300)
    assert found.overall.beyond == pytest.approx(1 / 300) and found.farthest[0].second is None
    assert found.overall.ratio == pytest.approx(1.0)
    assert Disagreement.model_validate_json(found.model_dump_json()) == found


def test_without_homes_there_is_nothing_to_say(production: Predictor) -> None:
    found = compared(production, [], {})
    assert (found.homes, found.overall, found.groups, found.farthest) == (0, None, [], [])
    assert RULE.objection(found) is None


CASES: list[tuple[str, dict[str, Any], str | None]] = [
    ("as production", {}, None),
    ("2 of 300 homes beyond the factor", {"Rajaji Nagar": (2, 2.1)}, None),
    ("4 of 300 homes beyond the factor", {"Rajaji Nagar": (4, 2.1)}, "by more than a factor of 2 on 1.3% of 300 homes"),
    ("4 of 300 homes, lower", {"Rajaji Nagar": (4, 0.49)}, "by more than a factor of 2 on 1.3% of 300 homes"),
    ("4 of 300 homes within the factor", {"Rajaji Nagar": (4, 1.99)}, None),
    ("a place 29 % higher", {"Indira Nagar": (30, 1.29)}, None),
    ("a place 31 % higher", {"Indira Nagar": (30, 1.31)}, "for Indira Nagar is 31% higher than that of BO1"),
    ("a place 31 % lower", {"Indira Nagar": (30, 0.69)}, "for Indira Nagar is 31% lower than that of BO1"),
    ("a place with too few homes", {"Indira Nagar": (29, 1.5)}, None),
    ("two places", {"Indira Nagar": (40, 1.4), "Nowhere": (40, 1.6)}, "for unknown places is 60% higher than that of"),
]  # fmt: skip


@pytest.mark.parametrize(("moved", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_disagreement_beyond_the_rule_stops_a_candidate(
    production: Predictor, moved: dict[str, Any], expected: str | None
) -> None:
    asked = [home for place, (count, _) in moved.items() for home in homes(count, place)]
    asked += homes(300 - len(asked), "Whitefield")
    found = compared(production, asked, {place: factor for place, (_, factor) in moved.items()})
    objection = RULE.objection(found)
    assert objection is None if expected is None else expected in str(objection)
    assert ("1 more places" in str(objection)) == (len(moved) == 2)
    assert RULE.model_copy(update={"least_homes": 301}).objection(found) is None, "too few homes say nothing"
