"""Harm by segment: no promotion while the candidate's ratings are worse in a part of the visitors, beyond chance.

The segments are fixed in the policy document and never searched for. Visitors are divided by the home that they asked
about first, before they saw an answer, and by what production's bundle says of it. So the division does not depend on
the variant. The check can only delay a promotion, never cause one, so it does not raise the error rates of a rule.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from pydantic import Field, field_validator, model_validator

from homeprices.data.regions import REGIONS, Region, region_of
from homeprices.experiment.confidence_sequences import always_valid_p, half_width, holm
from homeprices.experiment.evidence import Evidence, SegmentRatings
from homeprices.experiment.policies.limits import Document
from homeprices.experiment.treatment_effect import stratified_difference
from homeprices.pricing.inputs import COUNTS, INPUT, LOCATION, PRICE_BANDS
from homeprices.words import GROUP, SHORT_PRICE_UNIT

MOST_LIMITS = 5
"""Limits between bands, at most: the evidence of every look holds each segment."""
KNOWN, UNKNOWN = f"known {GROUP}", f"unknown {GROUP}"


_SMALL = tuple(limit for name in COUNTS[:1] if (limit := INPUT[name].segment_limit) is not None)


class SegmentRule(Document):
    """The segments, and when the candidate harms one.

    A visitor is in one segment of each kind: `regions` by the place, `bedrooms` and `price_lakh` by the bands between
    these limits, `known_place` by whether production knows the place. The price is production's estimate, so it is the
    same whichever variant answered. An empty list leaves a kind out.

    Harm is a difference of mean ratings below `margin` stars. `error_rate` is that of all segments together, over all
    looks (Holm's procedure on always-valid p-values). A segment is judged from `rated_visitors` rated visitors in its
    smaller variant on; its bounds are tightest at `expected_visitors`.
    """

    regions: tuple[Region, ...] = REGIONS
    bedrooms: tuple[int, ...] = Field(default=_SMALL, max_length=MOST_LIMITS)
    price_lakh: tuple[float, ...] = Field(default=PRICE_BANDS, max_length=MOST_LIMITS)
    known_place: bool = True
    error_rate: float = Field(default=0.05, gt=0, lt=0.5)
    margin: float = Field(default=0.0, ge=-4, le=0)
    rated_visitors: int = Field(default=20, ge=2)
    expected_visitors: float = Field(default=200.0, gt=0, le=1e9)

    @field_validator("regions")
    @classmethod
    def _each_region_once(cls, regions: tuple[Region, ...]) -> tuple[Region, ...]:
        if len(set(regions)) < len(regions):
            raise ValueError("must name each region once")
        return regions

    @field_validator("bedrooms", "price_lakh")
    @classmethod
    def _limits_ascend(cls, limits: tuple[float, ...]) -> tuple[float, ...]:
        if any(limit <= 0 for limit in limits) or any(a >= b for a, b in pairwise(limits)):
            raise ValueError("must be numbers above 0 in ascending order, each the upper limit of a band")
        return limits

    @model_validator(mode="after")
    def _there_are_segments(self) -> SegmentRule:
        if not self.names:
            raise ValueError("must divide the visitors by something; without segments, leave the section out")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all segments, in a fixed order."""
        return (
            *(f"region {region}" for region in self.regions),
            *(band for name in COUNTS[:1] for band in _bands(self.bedrooms, INPUT[name].noun)),
            *_bands(self.price_lakh, SHORT_PRICE_UNIT),
            *((KNOWN, UNKNOWN) if self.known_place else ()),
        )

    def segments_of(self, inputs: Mapping[str, Any], known: bool | None, price: float | None) -> tuple[str, ...]:
        """Return the segments of a visitor by the logged inputs of the first home.

        `price` is production's estimate in lakh rupees, and `known` whether it knows the place; None for inputs that it
        cannot price. A visitor is in no segment of a kind whose value is missing.
        """
        place = inputs.get(LOCATION)
        found = []
        if isinstance(place, str) and (region := region_of(place)) in self.regions:
            found.append(f"region {region}")
        for name in COUNTS[:1]:
            count = inputs.get(name)
            if isinstance(count, int | float) and not isinstance(count, bool):
                found += _band(count, self.bedrooms, INPUT[name].noun)
        if price is not None:
            found += _band(price, self.price_lakh, SHORT_PRICE_UNIT)
        if self.known_place and known is not None:
            found.append(KNOWN if known else UNKNOWN)
        return tuple(found)


def _bands(limits: Sequence[float], unit: str) -> list[str]:
    """Return the names of the bands between limits; none without a limit."""
    if not limits:
        return []
    between = [f"above {low:g} to {high:g} {unit}" for low, high in pairwise(limits)]
    return [f"up to {limits[0]:g} {unit}", *between, f"above {limits[-1]:g} {unit}"]


def _band(value: float, limits: Sequence[float], unit: str) -> list[str]:
    return [_bands(limits, unit)[bisect_left(limits, value)]] if limits else []


@dataclass(frozen=True)
class SegmentEffect:
    """Candidate less production in one segment, in stars, with simultaneous one-sided bounds; `rated` by variant.

    `p` is the always-valid p-value of harm. The numbers are None while too few visitors of the segment have rated.
    """

    name: str
    rated: tuple[int, int]
    harmed: bool = False
    stars: float | None = None
    lower: float | None = None
    upper: float | None = None
    p: float | None = None

    @property
    def verdict(self) -> str:
        """Return `harmed`, `too few` while it is not judged, or an empty text."""
        return "harmed" if self.harmed else "too few" if self.p is None else ""


def segment_effects(evidence: Evidence, rule: SegmentRule) -> list[SegmentEffect]:
    """Return the effect in every segment of the rule.

    The bounds have the error rate of the first step of Holm's procedure. Once it finds a segment harmed, it allows the
    others more, so it can find one harmed whose upper bound is still above the margin.
    """
    recorded = {segment.name: segment for segment in evidence.segments}
    effects = [_effect(evidence, recorded.get(name, SegmentRatings(name=name)), rule) for name in rule.names]
    harmed = holm([1.0 if effect.p is None else effect.p for effect in effects], alpha=rule.error_rate)
    return [replace(effect, harmed=bool(found)) for effect, found in zip(effects, harmed, strict=True)]


def _effect(evidence: Evidence, segment: SegmentRatings, rule: SegmentRule) -> SegmentEffect:
    pairs = zip(evidence.strata, segment.ratings, strict=False)
    strata = [stratum.model_copy(update={"ratings": ratings}) for stratum, ratings in pairs]
    usable = [stratum for stratum in strata if all(sample.n for sample in stratum.ratings)]
    rated = (sum(stratum.ratings[0].n for stratum in usable), sum(stratum.ratings[1].n for stratum in usable))
    if min(rated) < rule.rated_visitors:
        return SegmentEffect(segment.name, rated)
    stars, variance = stratified_difference(usable)
    alpha, visitors = rule.error_rate / len(rule.names), sum(rated)
    width = half_width(variance, visitors, alpha=alpha, expected=rule.expected_visitors, one_sided=True)
    p = always_valid_p(
        rule.margin - stars, variance, visitors, alpha=alpha, expected=rule.expected_visitors, one_sided=True
    )
    return SegmentEffect(segment.name, rated, stars=stars, lower=stars - width, upper=stars + width, p=p)


def segment_harm(evidence: Evidence, rule: SegmentRule | None, statistics: dict[str, float]) -> str:
    """Return which segments the candidate harms, as the end of a reason; empty without one, and without a rule.

    Adds the numbers of every judged segment to `statistics`.
    """
    if rule is None:
        return ""
    effects = segment_effects(evidence, rule)
    for effect in effects:
        for name in ("stars", "lower", "upper", "p"):
            if (value := getattr(effect, name)) is not None:
                statistics[f"segment {effect.name}: {name}"] = value
    if not (harmed := harmed_segments(effects)):
        return ""
    return f"; nothing is promoted while {evidence.candidate.bundle} is worse in {harmed}"


def harmed_segments(effects: Sequence[SegmentEffect]) -> str:
    """Return the harmed segments with their numbers as a phrase; empty without one."""
    return " and ".join(
        f"{effect.name} ({effect.stars:+.2f} stars by {sum(effect.rated)} visitors)"
        for effect in effects
        if effect.harmed
    )
