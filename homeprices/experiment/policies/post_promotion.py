"""Post-promotion rule: whether a new production does harm, compared with the same hours before its promotion."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from homeprices.experiment.confidence_sequences import half_width
from homeprices.experiment.evidence import ClusteredProportion, SampleMoments

Baseline = Literal["week", "day", "none"]
BEFORE = {"week": timedelta(days=7), "day": timedelta(days=1)}
"""The baseline: the same hours, this long before those of the new production."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PostPromotionRule(_Value):
    """Post-promotion rule: the length of the bake window, and the limits of harm.

    Each of the four guardrails errs at `error_rate`, from so many `visitors` on. Slow answers are judged as in the
    experiment. Ratings may be `rating_margin` stars below those of the baseline, and price errors `price_margin` of the
    price above, because weeks differ even without harm. The share of failed requests may be `failed_margin` above that
    of the baseline. Failures cluster in time, so the unit there is five minutes; the bound needs `slots` of them and is
    tightest at `expected_slots`.
    """

    longest: timedelta = Field(default=timedelta(hours=24), ge=timedelta(0), le=timedelta(days=14))
    error_rate: float = Field(default=0.002, gt=0, lt=0.5)
    visitors: int = Field(default=50, ge=2)
    expected_visitors: float = Field(default=500.0, gt=0)
    rating_margin: float = Field(default=0.2, ge=0, le=4)
    price_margin: float = Field(default=0.05, ge=0, le=1)
    slow_ratio: float = Field(default=2.0, ge=1)
    slow_at_least_ms: float = Field(default=100.0, gt=0)
    slow_share: float = Field(default=0.01, gt=0, lt=1)
    failed_margin: float = Field(default=0.02, ge=0, lt=1)
    slots: int = Field(default=6, ge=2)
    expected_slots: float = Field(default=144.0, gt=0)

    def slow_over(self, baseline_p99_ms: float | None) -> float:
        """Return the latency in ms above which an answer of the new production is slow."""
        return max(self.slow_at_least_ms, self.slow_ratio * (baseline_p99_ms or 0.0))

    def evaluate(self, evidence: PostPromotionEvidence) -> PostPromotionVerdict:
        """Return `revert` at a significant breach, otherwise `continue`; a pure function of the evidence."""
        statistics: dict[str, float] = {}
        breaches = self._failures(evidence, statistics)
        slow = evidence.slow.excess(self.slow_share)
        if slow.n >= self.visitors:
            statistics["slow_excess_lower"] = slow.mean - self._width(slow.variance / slow.n, slow.n)
            if statistics["slow_excess_lower"] > 0:
                breaches.append(f"{evidence.slow.share:.1%} of its answers took more than {evidence.slow_over_ms:g} ms")
        rating = _difference(evidence.ratings, evidence.ratings_before, self.visitors)
        if rating is not None:
            estimate, variance, n = rating
            statistics |= {"stars": estimate, "stars_upper": estimate + self._width(variance, n)}
            if statistics["stars_upper"] < -self.rating_margin:
                breaches.append(f"it is rated {-estimate:.2f} stars lower than in {_hours(evidence.baseline)}")
        error = _difference(evidence.price_errors, evidence.price_errors_before, self.visitors)
        if error is not None:
            estimate, variance, n = error
            statistics |= {"price_error": estimate, "price_error_lower": estimate - self._width(variance, n)}
            if statistics["price_error_lower"] > self.price_margin:
                breaches.append(
                    f"its estimates are {estimate:.1%} of the price farther away than in {_hours(evidence.baseline)}"
                )
        if breaches:
            reason = f"{evidence.production} does harm: {' and '.join(breaches)}."
            return PostPromotionVerdict(outcome="revert", reason=reason, statistics=statistics)
        reason = f"{evidence.production} shows no harm so far."
        if not evidence.failures.trials:
            reason = f"{reason[:-1]}; how many of its requests failed, no router has told."
        return PostPromotionVerdict(outcome="continue", reason=reason, statistics=statistics)

    def _failures(self, evidence: PostPromotionEvidence, statistics: dict[str, float]) -> list[str]:
        """Return the sentence on failed requests if there are too many; add the figures to `statistics`."""
        if not self._tells(evidence.failures):
            return []
        new, variance = _share(evidence.failures)
        before, spread = _share(evidence.failures_before) if self._tells(evidence.failures_before) else (0.0, 0.0)
        slots = evidence.failures.visitors
        width = half_width(
            variance + spread, slots, alpha=self.error_rate, expected=self.expected_slots, one_sided=True
        )
        lower = new - before - self.failed_margin - float(width)
        statistics |= {"failed_share": new, "failed_share_before": before, "failed_excess_lower": lower}
        if lower <= 0:
            return []
        beside = f"{before:.1%} did in {_hours(evidence.baseline)}" if spread else f"{self.failed_margin:.1%} may"
        return [f"{new:.1%} of its requests failed, and {beside}"]

    def _tells(self, found: ClusteredProportion) -> bool:
        """Whether there are enough five-minute units and requests for a bound."""
        return found.visitors >= self.slots and found.trials >= self.visitors

    def _width(self, variance: float, n: int) -> float:
        return float(half_width(variance, n, alpha=self.error_rate, expected=self.expected_visitors, one_sided=True))


class PostPromotionEvidence(_Value):
    """Evidence on a new production and the hours before it, by visitor; `previous` is the bundle to revert to.

    `failures` are the failed requests of all routers; their unit is five minutes with requests, instead of a visitor.
    """

    production: str
    previous: str
    promoted_at: AwareDatetime
    now: AwareDatetime
    baseline: Baseline = "none"
    slow: ClusteredProportion = ClusteredProportion()
    slow_over_ms: float = Field(gt=0)
    ratings: SampleMoments = SampleMoments()
    ratings_before: SampleMoments = SampleMoments()
    price_errors: SampleMoments = SampleMoments()
    price_errors_before: SampleMoments = SampleMoments()
    failures: ClusteredProportion = ClusteredProportion()
    failures_before: ClusteredProportion = ClusteredProportion()


class PostPromotionVerdict(_Value):
    """The result of the analysis, and its reason in one sentence."""

    outcome: Literal["revert", "continue"]
    reason: str
    statistics: dict[str, float] = Field(default_factory=dict)


def _difference(new: SampleMoments, before: SampleMoments, least: int) -> tuple[float, float, int] | None:
    """Return the difference (new less baseline), its variance and the visitors; None while either has too few."""
    if min(new.n, before.n) < least:
        return None
    spread = [max(sample.variance, 1e-6) / sample.n for sample in (new, before)]
    return new.mean - before.mean, sum(spread), new.n + before.n


def _share(found: ClusteredProportion) -> tuple[float, float]:
    """Return hits per trial and its variance between units (a ratio: Cochran, Sampling Techniques, 1977, eq. 6.9).

    The variance is never below that of independent trials with one more hit, because an hour without a failure does not
    prove a rate of zero.
    """
    between = found.excess(found.share).variance / found.visitors * (found.visitors / found.trials) ** 2
    likely = (found.hits + 1) / (found.trials + 2)
    return found.share, max(between, likely * (1 - likely) / found.trials)


def _hours(baseline: Baseline) -> str:
    return f"the same hours a {baseline} before"
