"""Aggregation: rows of the prediction log to evidence, by variant and stratum.

Sums are exact to the last bit whatever the order of the rows (`math.fsum`), so the same visitors always give the same
evidence, and the same evidence the same decision.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from homeprices.experiment.evidence import (
    HIGHEST_RATING,
    ClusteredProportion,
    PairedPriceError,
    SegmentRatings,
    Stratum,
    VariantSummary,
    WithoutNetwork,
    clustered_proportion,
    sample_moments,
    trimmed_moments,
)
from homeprices.experiment.exposures import LONG_AGO, ActualPrice, VisitorExposures, VisitorRatings
from homeprices.experiment.influence import ToldDifference, Voice, without_networks
from homeprices.experiment.network_limits import Arrival, Limited, beyond_burst, limit_networks
from homeprices.experiment.policies.base import NOT_ROBUST, UNLIMITED, BurstRule, RobustnessRule, VoiceRule
from homeprices.names import VARIANTS, Variant
from homeprices.predictions.feedback import price_error


@dataclass(frozen=True)
class RescoredPrice:
    """An actual price with both models' estimates of that home, in lakh rupees; None where a model cannot price it."""

    told: ActualPrice
    production: float | None
    candidate: float | None


@dataclass(frozen=True)
class ExperimentRows:
    """All rows of the log that belong to an experiment; `shares` is the candidate's share in percent by epoch.

    `segments` are the visitors of each segment by its name.
    """

    visitors: Sequence[VisitorExposures]
    raters: Sequence[VisitorRatings]
    scored: Sequence[RescoredPrice]
    p99: dict[str, float]
    shares: dict[int, float]
    testers: Collection[str] = ()
    most_a_day: int = 200
    voices: VoiceRule = UNLIMITED
    robustness: RobustnessRule = NOT_ROBUST
    burst: BurstRule | None = None
    began: datetime = LONG_AGO
    segments: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class AggregatedEvidence:
    """The parts of `Evidence` that come from rows of the log."""

    variants: tuple[VariantSummary, VariantSummary]
    strata: tuple[Stratum, ...]
    errors: ClusteredProportion
    slow: ClusteredProportion
    paired: PairedPriceError
    left_out: dict[str, int]
    without: tuple[WithoutNetwork, ...] = ()
    segments: tuple[SegmentRatings, ...] = ()


def aggregate(log: ExperimentRows, bundles: tuple[str, str]) -> AggregatedEvidence:
    """Return the evidence of a log. `bundles` names production and candidate.

    Exclude testers, bots (more exposures a day than the policy allows) and visitors beyond the limits of their network
    from all metrics. Exclude visitors who switched variant after a change of the traffic share from the variant
    metrics, but count their first assignment in the SRM test, because that assignment was random.
    """
    testers = {row.visitor for row in log.visitors if row.visitor in log.testers}
    bots = {row.visitor for row in log.visitors if row.busiest_day > log.most_a_day} - testers
    humans = {row.visitor: row for row in log.visitors if row.visitor not in testers | bots}
    limited = visitors_within_limits(humans, log.voices)
    people = [row for row in humans.values() if row.visitor in limited.kept]
    counted = {row.visitor: row for row in people if not row.moved}
    rated, burst_of_ratings = _without_burst({row.visitor: row.first for row in log.raters}, counted, log)
    rating = voices_within_limits(rated, counted, log.voices)
    raters = [row for row in log.raters if row.visitor in rating.kept]
    tellers = {row.visitor: row for row in people}
    told, burst_of_prices = _without_burst(_first_prices(log.scored), tellers, log)
    telling = voices_within_limits(told, tellers, log.voices)
    scored = [row for row in log.scored if row.told.visitor in telling.kept]
    candidates = [row for row in counted.values() if row.variant == "candidate"]
    epochs = sorted(log.shares.items())
    numbers = [epoch for epoch, _ in epochs]
    said = _voices(numbers, counted, raters)
    differences = _differences(scored, {row.visitor: row.network for row in people})
    return AggregatedEvidence(
        variants=(
            _variant_summary("production", bundles[0], counted, raters, scored, log.p99),
            _variant_summary("candidate", bundles[1], counted, raters, scored, log.p99),
        ),
        strata=tuple(
            _stratum(epoch, share, people, [voice for voice in said if voice.stratum == place], log.robustness.trimmed)
            for place, (epoch, share) in enumerate(epochs)
        ),
        errors=clustered_proportion((row.errors, row.exposures) for row in candidates),
        slow=clustered_proportion((row.slow, row.exposures - row.errors) for row in candidates),
        paired=_paired(scored, [row.difference for row in differences], log.robustness.trimmed),
        left_out={
            "testers": len(testers),
            "bots": len(bots),
            "moved": len(people) - len(counted),
            "ratings_of_fallbacks": sum(row.of_fallbacks for row in raters),
            "raters_in_a_burst": burst_of_ratings,
            "price_tellers_in_a_burst": burst_of_prices,
            **_beyond_limits({"visitors": limited, "raters": rating, "price_tellers": telling}),
        },
        without=without_networks(said, differences, len(epochs)) if log.robustness.without_any_network else (),
        segments=tuple(
            _segment(name, numbers, counted, [row for row in raters if row.visitor in visitors], log.voices)
            for name, visitors in log.segments.items()
        ),
    )


def visitors_within_limits(visitors: Mapping[str, VisitorExposures], rule: VoiceRule) -> Limited:
    """Return which visitors count, by their first exposure."""
    arrivals = (Arrival(row.visitor, row.variant, row.network, row.first) for row in visitors.values())
    return limit_networks(arrivals, a_day=rule.visitors_a_day, share=rule.network_share)


def voices_within_limits(
    spoken: Mapping[str, datetime], visitors: Mapping[str, VisitorExposures], rule: VoiceRule
) -> Limited:
    """Return which of these voices count, by the time of their first rating or price."""
    known = ((visitors[name], at) for name, at in spoken.items() if name in visitors)
    arrivals = (Arrival(row.visitor, row.variant, row.network, at) for row, at in known)
    return limit_networks(arrivals, a_day=rule.voices_a_day, share=rule.network_share)


def _without_burst(
    spoken: Mapping[str, datetime], visitors: Mapping[str, VisitorExposures], log: ExperimentRows
) -> tuple[dict[str, datetime], int]:
    """Return the time of each visitor's first voice, without bursts, and the number that is excluded."""
    known = {visitor: at for visitor, at in spoken.items() if visitor in visitors}
    beyond = beyond_burst(known, log.began, log.burst) if log.burst is not None else frozenset()
    return {visitor: at for visitor, at in known.items() if visitor not in beyond}, len(beyond)


def _first_prices(scored: Iterable[RescoredPrice]) -> dict[str, datetime]:
    """Return the time of each visitor's first price."""
    first: dict[str, datetime] = {}
    for row in scored:
        first[row.told.visitor] = min(row.told.ts, first.get(row.told.visitor, row.told.ts))
    return first


def _beyond_limits(found: Mapping[str, Limited]) -> dict[str, int]:
    """Return the number of visitors beyond the limits of their network, by kind of visitor and limit."""
    beyond = {f"{who}_of_a_network_beyond_day": limited.beyond_day for who, limited in found.items()}
    return beyond | {f"{who}_of_a_network_beyond_share": limited.beyond_share for who, limited in found.items()}


def _variant_summary(
    variant: Variant,
    bundle: str,
    counted: dict[str, VisitorExposures],
    raters: Sequence[VisitorRatings],
    scored: Sequence[RescoredPrice],
    p99: dict[str, float],
) -> VariantSummary:
    visitors = [row for row in counted.values() if row.variant == variant]
    rated = [row for row in raters if counted[row.visitor].variant == variant and row.ratings]
    ratings = sum(row.ratings for row in rated)
    requests, errors = sum(row.exposures for row in visitors), sum(row.errors for row in visitors)
    mean, variance = _latency(visitors, requests - errors)
    own = [row.told for row in scored if row.told.variant == variant and not row.told.fallback]
    missed = sample_moments(price_error(told.estimate, told.price) for told in own)
    return VariantSummary(
        bundle=bundle,
        requests=requests,
        recent_requests=sum(row.recent for row in visitors),
        errors=errors,
        visitors=len(visitors),
        rated_visitors=len(rated),
        ratings=ratings,
        mean_rating=min(math.fsum(row.stars for row in rated) / ratings, HIGHEST_RATING) if ratings else None,
        mean_latency_ms=mean,
        latency_variance=variance,
        p99_latency_ms=p99.get(variant),
        quick_feedback={
            "accurate": sum(row.accurate for row in rated),
            "too_high": sum(row.too_high for row in rated),
            "too_low": sum(row.too_low for row in rated),
        },
        prices=missed.n,
        mean_price_error=missed.mean if missed.n else None,
    )


def _latency(visitors: Sequence[VisitorExposures], answers: int) -> tuple[float | None, float]:
    """Mean and variance by exposure, in ms and ms²."""
    if answers <= 0:
        return None, 0.0
    mean = math.fsum(row.milliseconds for row in visitors) / answers
    squares = math.fsum(row.milliseconds_squared for row in visitors)
    return mean, max((squares - answers * mean**2) / (answers - 1), 0.0) if answers > 1 else 0.0


def _voices(
    epochs: Sequence[int], counted: dict[str, VisitorExposures], raters: Sequence[VisitorRatings]
) -> list[Voice]:
    """Return the mean rating of each visitor who rated, in the epoch and variant of the first exposure."""
    place = {epoch: number for number, epoch in enumerate(epochs)}
    found = ((counted[row.visitor], row.stars / row.ratings) for row in raters if row.ratings)
    return [
        Voice(visitor.network, place[visitor.epoch], VARIANTS.index(visitor.variant), stars)
        for visitor, stars in found
        if visitor.epoch in place
    ]


def _stratum(
    epoch: int, share: float, people: Sequence[VisitorExposures], voices: Sequence[Voice], trimmed: float
) -> Stratum:
    assigned = [sum(row.epoch == epoch and row.variant == variant for row in people) for variant in VARIANTS]
    production, candidate = ([voice.stars for voice in voices if voice.variant == variant] for variant in (0, 1))
    return Stratum(
        epoch=epoch,
        share=share,
        assigned=(assigned[0], assigned[1]),
        ratings=(sample_moments(production), sample_moments(candidate)),
        trimmed=(trimmed_moments(production, trimmed), trimmed_moments(candidate, trimmed)) if trimmed else None,
    )


def _segment(
    name: str,
    epochs: Sequence[int],
    counted: dict[str, VisitorExposures],
    raters: Sequence[VisitorRatings],
    rule: VoiceRule,
) -> SegmentRatings:
    """Return the ratings of a segment, with the limits of networks within it: 2 % of all voices may be most of its."""
    kept = voices_within_limits({row.visitor: row.first for row in raters}, counted, rule).kept
    cells: dict[tuple[int, int], list[float]] = defaultdict(list)
    for voice in _voices(epochs, counted, [row for row in raters if row.visitor in kept]):
        cells[voice.stratum, voice.variant].append(voice.stars)
    pairs = ((sample_moments(cells[n, 0]), sample_moments(cells[n, 1])) for n in range(len(epochs)))
    return SegmentRatings(name=name, ratings=tuple(pairs))


def _errors_by_visitor(scored: Sequence[RescoredPrice]) -> dict[str, tuple[float, float]]:
    """Return the mean price errors of production and candidate by visitor; a visitor may report several prices."""
    errors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in scored:
        if row.production is not None and row.candidate is not None:
            price = row.told.price
            errors[row.told.visitor].append((price_error(row.production, price), price_error(row.candidate, price)))
    return {
        visitor: (math.fsum(a for a, _ in each) / len(each), math.fsum(b for _, b in each) / len(each))
        for visitor, each in errors.items()
    }


def _differences(scored: Sequence[RescoredPrice], networks: Mapping[str, str | None]) -> list[ToldDifference]:
    return [
        ToldDifference(networks.get(visitor), candidate - production)
        for visitor, (production, candidate) in _errors_by_visitor(scored).items()
    ]


def _paired(scored: Sequence[RescoredPrice], differences: Sequence[float], trimmed: float) -> PairedPriceError:
    errors, n = _errors_by_visitor(scored).values(), len(differences)
    return PairedPriceError(
        difference=sample_moments(differences),
        trimmed=trimmed_moments(differences, trimmed) if trimmed else None,
        production_error=math.fsum(production for production, _ in errors) / n if n else None,
        candidate_error=math.fsum(candidate for _, candidate in errors) / n if n else None,
        unpriced=sum(row.production is None or row.candidate is None for row in scored),
    )


def paired_price_error(scored: Sequence[RescoredPrice]) -> PairedPriceError:
    """Return the paired comparison of both models' price errors by visitor, without an experiment."""
    return _paired(scored, [row.difference for row in _differences(scored, {})], trimmed=0)
