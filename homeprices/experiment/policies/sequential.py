"""The default rule: promote or roll back by a confidence sequence, which is valid at any number of looks.

The primary metric is the published composite, as a linear statistic of two differences of means: of ratings by visitor
and of latency by exposure. Guardrails watch the candidate's errors, its slow answers, and its distance from the actual
prices. The order is fixed: harm, validity, ratings, time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from pydantic import Field, model_validator

from homeprices.experiment.confidence_sequences import half_width
from homeprices.experiment.evidence import Evidence, SampleMoments
from homeprices.experiment.policies.base import (
    NOT_ROBUST,
    UNLIMITED,
    BurstRule,
    Decision,
    Outcome,
    RetrainingRule,
    RobustnessRule,
    VoiceRule,
    breaker_stopped,
    time_is_up,
    with_old_values,
)
from homeprices.experiment.policies.limits import (
    Document,
    ErrorRates,
    Guardrails,
    Margins,
    Minimum,
    Primary,
    SampleRatio,
)
from homeprices.experiment.policies.missing_data import missing_data
from homeprices.experiment.policies.post_promotion import PostPromotionRule
from homeprices.experiment.policies.ramp import Ramp, RampStep, with_ramp
from homeprices.experiment.policies.robustness import (
    Check,
    doubtful_results,
    reduced_price_bounds,
    reduced_rating_bounds,
)
from homeprices.experiment.policies.segments import SegmentRule, segment_harm
from homeprices.experiment.policies.shadow_rule import ShadowRule
from homeprices.experiment.policies.year import YearRule
from homeprices.experiment.sample_ratio import SplitTest, judge_split
from homeprices.experiment.treatment_effect import TreatmentEffect, composite_effect

OLD_VALUES = {"voices": UNLIMITED, "robustness": NOT_ROBUST, "burst": None, "least_duration": timedelta(0)}
"""Values of the fields that documents of schema version 1 do not have."""
BETTER, WORSE, FARTHER = "is better", "is worse", "is farther from the actual prices"
"""Results that depend on voices, as worded in a reason."""


class SequentialPolicy(Document):
    """The sequential rule; a document can change any of its numbers.

    `expected_visitors` is the number of rated visitors at which the sequences are tightest. A variant without a request
    in 24 h is missing data once the experiment is as old as `missing_after`, unless the site is that quiet. `drift`:
    drift of the inputs or of the error is noted in the reason, or a promotion waits for as long as it lasts. Visitors
    with more than `most_visits_a_day` exposures a day are treated as bots. Without `segments`, none is checked. `year`:
    the level of a trial replaces `error_rates.promote` (None: every trial has that rate). Without a `ramp`, a trial
    begins at once, with the share of the settings.
    """

    schema_version: Literal[1, 2] = 2
    rule: Literal["sequential"] = "sequential"
    name: str = Field(default="sequential", pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    version: int = Field(default=1, ge=1)
    primary: Primary = Primary()
    minimum: Minimum = Minimum()
    margins: Margins = Margins()
    error_rates: ErrorRates = ErrorRates()
    guardrails: Guardrails = Guardrails()
    sample_ratio: SampleRatio = SampleRatio()
    bake: PostPromotionRule = PostPromotionRule()
    retraining: RetrainingRule = RetrainingRule()
    shadow: ShadowRule | None = ShadowRule()
    expected_visitors: float = Field(default=500.0, gt=0, le=1e9)
    longest: timedelta = Field(default=timedelta(days=14), gt=timedelta(0), le=timedelta(days=365))
    least_duration: timedelta = Field(default=timedelta(days=1), ge=timedelta(0))
    missing_after: timedelta = Field(default=timedelta(hours=24), ge=timedelta(hours=24))
    drift: Literal["note", "wait"] = "note"
    most_visits_a_day: int = Field(default=200, ge=1)
    voices: VoiceRule = VoiceRule()
    burst: BurstRule | None = BurstRule()
    robustness: RobustnessRule = RobustnessRule()
    segments: SegmentRule | None = None
    year: YearRule | None = None
    ramp: Ramp | None = None

    @model_validator(mode="before")
    @classmethod
    def _old_documents_decide_as_they_did(cls, document: Any) -> Any:
        return with_old_values(document, OLD_VALUES)

    @model_validator(mode="after")
    def _ratings_have_time_to_promote(self) -> SequentialPolicy:
        if self.least_duration % timedelta(days=1):
            raise ValueError(f"least_duration must be whole days (P1D), not {self.least_duration}: hours differ")
        if self.least_duration > self.longest:
            raise ValueError(f"least_duration {self.least_duration} must be at most longest, {self.longest}")
        return self

    def slow_over(self, production_p99_ms: float) -> float | None:
        """Return the latency in ms above which an answer of the candidate is slow."""
        return max(self.guardrails.slow_at_least_ms, self.guardrails.slow_ratio * production_p99_ms)

    def trial_level(self, spent: Sequence[float]) -> float | None:
        """Return the level of the next trial, after those of the last 365 days; None without a rule for the year."""
        return None if self.year is None else min(self.year.level(spent), self.error_rates.promote)

    def decide(self, evidence: Evidence) -> Decision:
        """Return the decision by the evidence, and in the ramp the next step."""
        return with_ramp(self._decide(evidence), evidence, self.ramp, self.longest, partial(self._harms, evidence))

    def _decide(self, evidence: Evidence) -> Decision:
        """Check harm first, then validity, then ratings, then time. A stop by the circuit breaker counts as harm.

        A broken split does not invalidate errors, slow answers and price errors, because they are not compared between
        the variants; only ratings are. Documents of schema version 1 check validity before harm.
        """
        difference, statistics = self._measure(evidence)

        def decided(outcome: Outcome, reason: str) -> Decision:
            return Decision(outcome=outcome, reason=reason, policy=self.name, statistics=statistics)

        if evidence.stopped is not None:
            return decided("rollback", breaker_stopped(evidence))
        doubts = doubtful_results(self._checks(evidence), statistics)
        harm = self._harm(evidence, statistics, doubts)
        invalid = self._invalid(evidence)
        if harm and not (invalid and self.schema_version == 1):
            return decided("rollback", harm)
        if invalid:
            return decided("invalid", invalid)
        finding = self._finding(evidence, statistics, difference)
        finding += "".join(
            f"; that {evidence.candidate.bundle} {result} rests on {on}" for result, on in doubts.items()
        )
        finding += (harmed := segment_harm(evidence, self.segments, statistics))
        if statistics.get("upper", math.inf) < self.margins.harm and WORSE not in doubts:
            return decided("rollback", f"{finding}: even the upper bound is below {self.margins.harm:g}.")
        if statistics.get("lower", -math.inf) > self.margins.promote and BETTER not in doubts and not harmed:
            if evidence.age < self.least_duration:
                hours = self.least_duration / timedelta(hours=1)
                return decided("continue", f"{finding}: ratings promote from {hours:g} h on.")
            if self.year and evidence.level and _smaller(evidence) < self.year.rated_visitors:
                finding += f", and ratings promote from {self.year.rated_visitors} rated visitors in the smaller arm on"
            elif evidence.drift is None or self.drift == "note":
                noted = "" if evidence.drift is None else f" There is drift, which this policy notes: {evidence.drift}"
                return decided("promote", f"{finding}: even the lower bound is above {self.margins.promote:g}.{noted}")
            else:
                finding += f", and the promotion waits because of drift ({evidence.drift})"
        if evidence.age >= self.longest:
            return decided("inconclusive", f"{time_is_up(evidence, self.longest)}: {finding}.")
        return decided("continue", f"{finding}.")

    def _measure(self, evidence: Evidence) -> tuple[TreatmentEffect | None, dict[str, float]]:
        """Return the effect and all statistics; bounds only for metrics with their minimum of data."""
        rates, limits = self.error_rates, self.guardrails
        statistics = {"sample_ratio_log_evidence": self._split(evidence).log_evidence}
        level = rates.promote
        if evidence.level is not None:
            level = statistics["level"] = evidence.level
        difference = composite_effect(evidence, self.primary)
        if difference is not None:
            statistics |= difference.reported(self.expected_visitors, level)
            if self._lacking(evidence) is None:
                statistics["lower"] = difference.lower(level, self.expected_visitors)
                statistics["upper"] = difference.upper(rates.harm, self.expected_visitors)
        for name, sample in (
            ("error_excess", evidence.errors.excess(limits.error_share)),
            ("slow_excess", evidence.slow.excess(limits.slow_share)),
            ("price_error_excess", evidence.paired.difference),
        ):
            if sample.n:
                statistics[name] = sample.mean
            if sample.n >= limits.visitors:
                width = self._width(sample)
                statistics |= {f"{name}_lower": sample.mean - width, f"{name}_upper": sample.mean + width}
        return difference, statistics

    def _width(self, sample: SampleMoments) -> float:
        """Return the distance of a guardrail's bound from the mean."""
        variance, alpha = sample.variance / sample.n, self.error_rates.guardrail
        return float(half_width(variance, sample.n, alpha=alpha, expected=self.expected_visitors, one_sided=True))

    def _checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Return the bounds of each result by voices on parts of the voices."""
        margins, limits, alpha = self.margins, self.guardrails, self.robustness.error_rate

        def effect(part: Evidence) -> TreatmentEffect | None:
            return composite_effect(part, self.primary) if self._lacking(part) is None else None

        def lower(part: Evidence) -> float | None:
            return None if (found := effect(part)) is None else found.lower(alpha, self.expected_visitors)

        def upper(part: Evidence) -> float | None:
            return None if (found := effect(part)) is None else found.upper(alpha, self.expected_visitors)

        def farther(sample: SampleMoments) -> float | None:
            return sample.mean - self._width(sample) if sample.n >= limits.visitors else None

        return (
            Check(BETTER, "lower", reduced_rating_bounds(evidence, lower), margins.promote),
            Check(WORSE, "upper", reduced_rating_bounds(evidence, upper), margins.harm, below=True),
            Check(FARTHER, "price_error_excess_lower", reduced_price_bounds(evidence, farther), limits.price_error),
        )

    def _split(self, evidence: Evidence) -> SplitTest:
        epochs = ((stratum.share, stratum.assigned) for stratum in evidence.strata)
        concentration, error_rate = self.sample_ratio.concentration, self.error_rates.sample_ratio
        return judge_split(epochs, concentration=concentration, error_rate=error_rate)

    def _invalid(self, evidence: Evidence) -> str | None:
        """Return why this evidence is invalid, if it is."""
        if (split := self._split(evidence)).mismatch:
            return (
                f"The split is broken: {split.assigned[1]} of {sum(split.assigned)} visitors were the candidate's, and "
                f"{split.planned:.0f} should have been, which chance does not explain."
            )
        if evidence.age >= self.missing_after:
            return missing_data(evidence)
        return None

    def _harm(self, evidence: Evidence, statistics: dict[str, float], doubts: Collection[str]) -> str | None:
        """Return the significant harm of the candidate as a sentence, or None.

        The SRM test does not affect these metrics.
        """
        bundle, limits = evidence.candidate.bundle, self.guardrails
        if statistics.get("error_excess_lower", -1) > 0:
            share = evidence.errors.share
            return f"{bundle} fails too often: {share:.1%} of its requests, and {limits.error_share:.1%} are allowed."
        if statistics.get("slow_excess_lower", -1) > 0:
            return (
                f"{bundle} is too slow: {evidence.slow.share:.1%} of its answers took more than "
                f"{evidence.slow_over_ms:g} ms, and {limits.slow_share:.1%} may."
            )
        if statistics.get("price_error_excess_lower", -1) > limits.price_error and FARTHER not in doubts:
            return (
                f"{bundle} is farther from the actual prices: by {statistics['price_error_excess']:.1%} of the price "
                f"on average, over {evidence.paired.difference.n} visitors who told it."
            )
        return None

    def _harms(self, evidence: Evidence, step: RampStep) -> list[str]:
        """Return the checks of a step of the ramp that find harm at its error rate."""
        limits, z = self.guardrails, step.quantile
        excess = {
            "errors": (evidence.errors.excess(limits.error_share), 0.0),
            "slow": (evidence.slow.excess(limits.slow_share), 0.0),
            "price_errors": (evidence.paired.difference, limits.price_error),
        }
        harmful = {
            name: sample.n >= limits.visitors and sample.mean - z * math.sqrt(sample.variance / sample.n) > limit
            for name, (sample, limit) in excess.items()
        }
        effect = composite_effect(evidence, self.primary) if self._lacking(evidence) is None else None
        harmful["ratings"] = effect is not None and effect.estimate + z * math.sqrt(effect.variance) < self.margins.harm
        return [name for name in step.checks if harmful[name]]

    def _lacking(self, evidence: Evidence) -> str | None:
        """Return the data that the primary metric still lacks; None if it has its minimum."""
        candidate, least = evidence.candidate, self.minimum
        wanted = [
            (candidate.requests, least.exposures, f"requests of {candidate.bundle}"),
            (candidate.ratings, least.ratings, f"ratings of {candidate.bundle}"),
            (_smaller(evidence), least.rated_visitors, "rated visitors in the smaller arm"),
        ]
        lacking = [f"{found} of {needed} {what}" for found, needed, what in wanted if found < needed]
        return " and ".join(lacking) or None

    def _finding(self, evidence: Evidence, statistics: dict[str, float], difference: TreatmentEffect | None) -> str:
        """Return the start of the reason."""
        candidate, production = evidence.candidate.bundle, evidence.production.bundle
        if (lacking := self._lacking(evidence)) is not None:
            return f"There are {lacking} so far, which is too little to compare {candidate} with {production}"
        if difference is None or "lower" not in statistics:
            return f"{candidate} and {production} have no visitors in common epochs yet, so they cannot be compared"
        better = "better" if difference.estimate >= 0 else "worse"
        return (
            f"{candidate} scores {abs(difference.estimate):.4f} {better} than {production}, between "
            f"{statistics['lower']:.4f} and {statistics['upper']:.4f} "
            f"({difference.stars:+.2f} stars by {difference.visitors} visitors, {difference.milliseconds:+.1f} ms)"
        )


def _smaller(evidence: Evidence) -> int:
    """Return the rated visitors of the smaller variant."""
    return min(sum(stratum.ratings[variant].n for stratum in evidence.strata) for variant in (0, 1))
