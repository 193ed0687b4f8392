"""Evidence: everything both variants have shown up to one interim look; the input of a policy.

Everything here is a value: frozen, comparable, and unchanged by a round trip through JSON. A policy is a pure function
of the evidence, so a recorded decision can be computed again from its record, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

HIGHEST_RATING = 5.0  # stars
LOWEST_RATING = 1.0


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SampleMoments(_Value):
    """Moments of independent values, one per visitor: number, mean and variance (0 for fewer than two)."""

    n: int = Field(default=0, ge=0)
    mean: float = 0.0
    variance: float = Field(default=0.0, ge=0)


def sample_moments(values: Iterable[float]) -> SampleMoments:
    """Return number, mean and variance of the finite values."""
    finite = [value for value in values if math.isfinite(value)]
    n = len(finite)
    if n == 0:
        return SampleMoments()
    mean = math.fsum(finite) / n
    variance = math.fsum((value - mean) ** 2 for value in finite) / (n - 1) if n > 1 else 0.0
    return SampleMoments(n=n, mean=mean, variance=variance)


def trimmed_moments(values: Iterable[float], share: float) -> SampleMoments:
    """Return the moments of the finite values without `share` of them at each end, at least one value.

    `n` counts all, and `variance` divided by it is the variance of the trimmed mean: that of the values with the cut
    ones moved to the nearest that is left, over the squared share that is left (Yuen, Biometrika 61, 1974).
    """
    ordered = sorted(value for value in values if math.isfinite(value))
    n, cut = len(ordered), max(1, math.floor(share * len(ordered)))
    kept = ordered[cut : n - cut]
    if not kept:
        return SampleMoments()
    winsorized = sample_moments([kept[0]] * cut + kept + [kept[-1]] * cut)
    return SampleMoments(n=n, mean=math.fsum(kept) / len(kept), variance=winsorized.variance / (len(kept) / n) ** 2)


class ClusteredProportion(_Value):
    """A proportion clustered by visitor: `hits` in `trials`, summed over visitors, with their second moments.

    The sums are exact and enough for the share of hits and its variance between visitors, however they cluster.
    """

    visitors: int = Field(default=0, ge=0)
    hits: int = Field(default=0, ge=0)
    trials: int = Field(default=0, ge=0)
    hits_squared: int = Field(default=0, ge=0)
    trials_squared: int = Field(default=0, ge=0)
    hits_times_trials: int = Field(default=0, ge=0)

    @property
    def share(self) -> float:
        """Hits per trial; 0 without a trial."""
        return self.hits / self.trials if self.trials else 0.0

    def excess(self, limit: float) -> SampleMoments:
        """Moments of each visitor's hits less `limit` times the trials. A mean above 0 is a share above the limit."""
        n = self.visitors
        if n == 0:
            return SampleMoments()
        mean = (self.hits - limit * self.trials) / n
        squares = self.hits_squared - 2 * limit * self.hits_times_trials + limit**2 * self.trials_squared
        return SampleMoments(n=n, mean=mean, variance=max((squares - n * mean**2) / (n - 1), 0.0) if n > 1 else 0.0)


def clustered_proportion(visitors: Iterable[tuple[int, int]]) -> ClusteredProportion:
    """Return the sums of (hits, trials) pairs, one for each visitor."""
    pairs = [(hits, trials) for hits, trials in visitors if trials > 0]
    return ClusteredProportion(
        visitors=len(pairs),
        hits=sum(hits for hits, _ in pairs),
        trials=sum(trials for _, trials in pairs),
        hits_squared=sum(hits * hits for hits, _ in pairs),
        trials_squared=sum(trials * trials for _, trials in pairs),
        hits_times_trials=sum(hits * trials for hits, trials in pairs),
    )


class VariantSummary(_Value):
    """Metrics of one variant since the start of the experiment.

    `recent_requests` are those of the last day. Ratings are in stars, one per visitor and estimate. `errors` are a
    candidate's fallbacks. The mean of no values is None. `latency_variance` is in ms².
    """

    bundle: str
    requests: int = Field(ge=0)
    recent_requests: int = Field(ge=0)
    errors: int = Field(default=0, ge=0)
    visitors: int = Field(default=0, ge=0)
    rated_visitors: int = Field(default=0, ge=0)
    ratings: int = Field(ge=0)
    mean_rating: float | None = Field(default=None, ge=0, le=HIGHEST_RATING)
    mean_latency_ms: float | None = Field(default=None, ge=0)
    latency_variance: float = Field(default=0.0, ge=0)
    p99_latency_ms: float | None = Field(default=None, ge=0)
    quick_feedback: dict[str, int] = Field(default_factory=dict)
    prices: int = Field(default=0, ge=0)
    mean_price_error: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _means_have_something_to_be_of(self) -> VariantSummary:
        if (self.ratings > 0) != (self.mean_rating is not None):
            raise ValueError(f"{self.bundle} has {self.ratings} ratings with the mean {self.mean_rating}")
        return self


class Stratum(_Value):
    """An epoch: the visitors with their first exposure in it, and their ratings in stars.

    `share` is the candidate's, in percent; `assigned` and `ratings` are by variant, production first. `trimmed` is
    `ratings` without the most extreme voices, None in older records.
    """

    epoch: int = Field(ge=0)
    share: float = Field(ge=0, le=100)
    assigned: tuple[int, int] = (0, 0)
    ratings: tuple[SampleMoments, SampleMoments] = (SampleMoments(), SampleMoments())
    trimmed: tuple[SampleMoments, SampleMoments] | None = None


class PairedPriceError(_Value):
    """Price errors of both models on homes with a known price, as shares of that price, by visitor.

    `difference` is candidate less production, so below zero the candidate is nearer to the prices; `trimmed` is the
    same without the most extreme voices, None in older records.
    """

    difference: SampleMoments = SampleMoments()
    trimmed: SampleMoments | None = None
    production_error: float | None = Field(default=None, ge=0)
    candidate_error: float | None = Field(default=None, ge=0)
    unpriced: int = Field(default=0, ge=0)


class WithoutNetwork(_Value):
    """The remaining voices without those of one network: ratings by stratum and variant, and price differences.

    `voices` are those of the network.
    """

    network: str
    voices: int = Field(ge=1)
    ratings: tuple[tuple[SampleMoments, SampleMoments], ...] = ()
    price_difference: SampleMoments = SampleMoments()


class SegmentRatings(_Value):
    """Ratings of the visitors of one segment, in stars, by stratum and variant."""

    name: str
    ratings: tuple[tuple[SampleMoments, SampleMoments], ...] = ()


class RampProgress(_Value):
    """The present step of the ramp: its epoch and share in percent, and the candidate's exposures since it began.

    `a_day` are the requests a day, of all visitors, of the last days.
    """

    epoch: int = Field(ge=1)
    share: float = Field(gt=0, le=100)
    since: AwareDatetime
    exposures: int = Field(ge=0)
    a_day: float = Field(ge=0)


class Evidence(_Value):
    """Both variants of one experiment at one interim look.

    Times have a zone. `errors` and `slow` are the candidate's; `slow` are its answers that took longer than
    `slow_over_ms`. `left_out` counts excluded exposures and feedback by reason. `stopped` is the reason for which the
    circuit breaker set the share to zero. `drift` is the finding of the newest drift reports on the two bundles.
    `without` are the networks with the most influence on a result. `segments` are those of the policy. `level` is the
    error rate at which the trial may promote, None in older records and without a policy for a year. `ramp` is None in
    the trial, and in records from before there was a ramp. `places` are those of the trial; empty for the whole city.
    `regional` are the regional bundles of production; None in records from before there were any.
    """

    experiment: str
    production: VariantSummary
    candidate: VariantSummary
    started_at: AwareDatetime
    now: AwareDatetime
    strata: tuple[Stratum, ...] = ()
    errors: ClusteredProportion = ClusteredProportion()
    slow: ClusteredProportion = ClusteredProportion()
    slow_over_ms: float | None = Field(default=None, gt=0)
    paired: PairedPriceError = PairedPriceError()
    left_out: dict[str, int] = Field(default_factory=dict)
    stopped: str | None = None
    drift: str | None = None
    without: tuple[WithoutNetwork, ...] = ()
    segments: tuple[SegmentRatings, ...] = ()
    level: float | None = Field(default=None, gt=0, lt=0.5)
    ramp: RampProgress | None = None
    places: tuple[str, ...] = ()
    regional: tuple[str, ...] | None = None

    @property
    def age(self) -> timedelta:
        """Time since the start of the experiment; never negative, although clocks differ between machines.

        Computed in UTC, because Python subtracts two times of one zone by local time, which daylight saving time shifts
        by an hour.
        """
        return max(self.now.astimezone(UTC) - self.started_at.astimezone(UTC), timedelta(0))

    def time_left(self, longest: timedelta, least_rated: int | None, expected_rated: float | None) -> str:
        """Return how long the experiment may still take at most, and what is missing at the current rate of ratings.

        `least_rated`: rated visitors of the smaller variant before ratings decide. `expected_rated`: rated visitors at
        which the bounds are tightest. Both are None for a policy without bounds.
        """
        text = f"at most {max(longest - self.age, timedelta(0)) / timedelta(days=1):.1f} days"
        days = self.age / timedelta(days=1)
        if least_rated is None or expected_rated is None or days <= 0:
            return text
        smaller = min(sum(stratum.ratings[index].n for stratum in self.strata) for index in (0, 1))
        missing = least_rated - smaller
        if missing > 0:
            pace = f", which takes {missing / smaller * days:.1f} days at the pace so far" if smaller else ""
            return f"{text}; {missing} rated visitors are missing in the smaller variant{pace}"
        rated = self.production.rated_visitors + self.candidate.rated_visitors
        if rated < expected_rated:
            more = (expected_rated - rated) / rated * days
            return f"{text}; the bounds are tightest in {more:.1f} days, at {expected_rated:g} rated visitors"
        return f"{text}; the bounds are as tight as they get and shrink with every rating"
