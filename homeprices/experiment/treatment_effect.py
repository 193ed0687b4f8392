"""Treatment effect: the difference of the composites with its variance, linear in two differences of means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from homeprices.experiment.confidence_sequences import always_valid_p, bounded_half_width, expected_loss, half_width
from homeprices.experiment.evidence import HIGHEST_RATING, LOWEST_RATING, Evidence, SampleMoments, Stratum


class Weights(Protocol):
    """The weights of a composite, and the kind of bounds on its ratings."""

    @property
    def rating_weight(self) -> float: ...
    @property
    def speed_weight(self) -> float: ...
    @property
    def slowest_ms(self) -> float: ...
    @property
    def bounds(self) -> str: ...


@dataclass(frozen=True)
class TreatmentEffect:
    """Candidate less production.

    `estimate` and `variance` are of the composite, `stars` of the ratings and `milliseconds` of the latency alone;
    `visitors` rated, `smaller` of them in the smaller variant. `scale` is the composite of one star,
    `latency_deviation` the part of the composite's standard deviation that comes from latency.
    """

    estimate: float
    variance: float
    stars: float
    milliseconds: float
    visitors: int
    by_variant: tuple[int, int]
    scale: float
    latency_deviation: float
    bounded: bool

    def lower(self, alpha: float, expected: float) -> float:
        """Return the lower bound: the true difference is below it with probability `alpha` at most, over all looks."""
        return self.estimate - self.width(alpha, expected)

    def upper(self, alpha: float, expected: float) -> float:
        """Return the upper bound: the true difference is above it with probability `alpha` at most, over all looks."""
        return self.estimate + self.width(alpha, expected)

    def width(self, alpha: float, expected: float, *, one_sided: bool = True) -> float:
        """Return the distance of a bound from the estimate."""
        if not self.bounded:
            width = half_width(self.variance, self.visitors, alpha=alpha, expected=expected, one_sided=one_sided)
            return float(width)
        spread = self.scale * (HIGHEST_RATING - LOWEST_RATING)
        # Half of alpha for each variant; the expected sample of a variant is its part of the whole.
        ratings = sum(
            bounded_half_width(
                n, spread=spread, alpha=alpha / 2, expected=expected * n / self.visitors, one_sided=one_sided
            )
            for n in self.by_variant
        )
        latency = half_width(
            self.latency_deviation**2, self.visitors, alpha=alpha, expected=expected, one_sided=one_sided
        )
        return float(ratings + latency)

    def reported(self, expected: float, alpha: float) -> dict[str, float]:
        """Return the statistics that are reported but do not decide."""
        width = self.width(alpha, expected, one_sided=False)
        return {
            "estimate": self.estimate,
            "standard_error": math.sqrt(self.variance),
            "stars": self.stars,
            "milliseconds": self.milliseconds,
            "rated_visitors": float(self.visitors),
            "two_sided_lower": self.estimate - width,
            "two_sided_upper": self.estimate + width,
            "always_valid_p": always_valid_p(
                self.estimate, self.variance, self.visitors, alpha=alpha, expected=expected
            ),
            "expected_loss": expected_loss(self.estimate, self.variance),
        }


def composite_effect(evidence: Evidence, weights: Weights) -> TreatmentEffect | None:
    """Return the effect; None without an epoch in which visitors of both variants rated."""
    usable = [stratum for stratum in evidence.strata if all(variant.n for variant in stratum.ratings)]
    if not usable:
        return None
    stars, variance = stratified_difference(usable)
    milliseconds, latency_variance = _latency(evidence)
    by_star, by_ms = weights.rating_weight / HIGHEST_RATING, weights.speed_weight / weights.slowest_ms
    latency_deviation = by_ms * math.sqrt(latency_variance)
    by_variant = (sum(s.ratings[0].n for s in usable), sum(s.ratings[1].n for s in usable))
    return TreatmentEffect(
        estimate=by_star * stars - by_ms * milliseconds,
        # The correlation of a visitor's rating and latency is unknown, so the worst case, full correlation, is assumed.
        variance=(by_star * math.sqrt(variance) + latency_deviation) ** 2,
        stars=stars,
        milliseconds=milliseconds,
        visitors=sum(by_variant),
        by_variant=by_variant,
        scale=by_star,
        latency_deviation=latency_deviation,
        bounded=weights.bounds == "bounded",
    )


def stratified_difference(strata: list[Stratum]) -> tuple[float, float]:
    """Return the difference of mean ratings (candidate less production, in stars) over epochs, and its variance.

    Epochs are weighted by n1 n2 / (n1 + n2), which is optimal if they differ only in size (Cochran 1954). Weights by
    estimated variance would depend on noise. The variance within a variant is pooled over epochs.
    """
    weights = [a.n * b.n / (a.n + b.n) for a, b in (stratum.ratings for stratum in strata)]
    whole = math.fsum(weights)
    shares = [weight / whole for weight in weights]
    estimate = math.fsum(
        share * (stratum.ratings[1].mean - stratum.ratings[0].mean)
        for share, stratum in zip(shares, strata, strict=True)
    )
    variance = 0.0
    for variant in (0, 1):
        samples = [stratum.ratings[variant] for stratum in strata]
        spread = pooled_variance(samples)
        variance += math.fsum(share**2 * spread / sample.n for share, sample in zip(shares, samples, strict=True))
    return estimate, variance


def pooled_variance(samples: list[SampleMoments]) -> float:
    """Return the variance between visitors of a variant within its epochs.

    It is at least the variance if a single visitor differed by one star, because thirty equal ratings do not prove that
    the next one is equal.
    """
    n = sum(sample.n for sample in samples)
    freedom = sum(sample.n - 1 for sample in samples)
    within = math.fsum((sample.n - 1) * sample.variance for sample in samples) / freedom if freedom else 0.0
    return max(within, 1 / n)


def _latency(evidence: Evidence) -> tuple[float, float]:
    """Return the difference of mean latencies (candidate less production, ms), and its variance; 0 without answers."""
    production, candidate = evidence.production, evidence.candidate
    if production.mean_latency_ms is None or candidate.mean_latency_ms is None:
        return 0.0, 0.0
    variance = sum(
        variant.latency_variance / max(variant.requests - variant.errors, 1) for variant in (production, candidate)
    )
    return candidate.mean_latency_ms - production.mean_latency_ms, variance
