"""The published rule: a composite of rating and speed, five percent better or a fifth worse.

score = 0.7 x rating / 5 + 0.3 x max(0, (5000 - mean latency in ms) / 5000). With at least 50 candidate requests in 24 h
and 10 candidate ratings: promote above 1.05 x production's score, roll back below 0.8 x; after 7 days roll back. The
rule does not account for chance: documentations/error-rates.md states how often it promotes a model that is no better.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from homeprices.experiment.evidence import HIGHEST_RATING, Evidence, VariantSummary
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
    in_its_places,
    time_is_up,
    with_old_values,
)
from homeprices.experiment.policies.post_promotion import PostPromotionRule
from homeprices.experiment.policies.ramp import Ramp
from homeprices.experiment.policies.segments import SegmentRule
from homeprices.experiment.policies.shadow_rule import ShadowRule


class CompositePolicy(BaseModel):
    """The published rule with its published numbers; a document can change each."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1, 2] = 2
    rule: Literal["composite"] = "composite"
    name: str = Field(default="composite", pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    version: int = Field(default=1, ge=1)
    least_recent_requests: int = Field(default=50, ge=1)
    least_ratings: int = Field(default=10, ge=1)
    rating_weight: float = Field(default=0.7, ge=0, le=1)
    speed_weight: float = Field(default=0.3, ge=0, le=1)
    slowest_ms: float = Field(default=5000.0, gt=0)
    promote_above: float = Field(default=1.05, ge=1)
    roll_back_below: float = Field(default=0.8, ge=0, le=1)
    longest: timedelta = Field(default=timedelta(days=7), gt=timedelta(0), le=timedelta(days=365))
    most_visits_a_day: int = Field(default=200, ge=1)
    voices: VoiceRule = VoiceRule()
    # The published rule has neither robustness checks, nor a limit of bursts, nor segments, nor a ramp.
    robustness: ClassVar[RobustnessRule] = NOT_ROBUST
    burst: ClassVar[BurstRule | None] = None
    segments: ClassVar[SegmentRule | None] = None
    ramp: ClassVar[Ramp | None] = None
    bake: PostPromotionRule = PostPromotionRule()
    retraining: RetrainingRule = RetrainingRule()
    shadow: ShadowRule | None = ShadowRule()

    @model_validator(mode="before")
    @classmethod
    def _old_documents_decide_as_they_did(cls, document: Any) -> Any:
        return with_old_values(document, {"voices": UNLIMITED})

    def slow_over(self, production_p99_ms: float) -> float | None:  # noqa: ARG002 (the rule has no such limit)
        """Return None, because the rule uses latency only in the score."""
        return None

    def trial_level(self, spent: Sequence[float]) -> float | None:  # noqa: ARG002 (the rule has no error rates)
        """Return None, because the rule does not account for chance."""
        return None

    def score(self, variant: VariantSummary) -> float | None:
        """Return the composite of a variant, from 0 to 1; None while it has no rating or no answered request."""
        if variant.mean_rating is None or variant.mean_latency_ms is None:
            return None
        speed = max(0.0, (self.slowest_ms - variant.mean_latency_ms) / self.slowest_ms)
        return self.rating_weight * variant.mean_rating / HIGHEST_RATING + self.speed_weight * speed

    def decide(self, evidence: Evidence) -> Decision:
        """Return the decision by the evidence; a trial in some places promotes nothing."""
        return in_its_places(self._decide(evidence), evidence, self.longest)

    def _decide(self, evidence: Evidence) -> Decision:
        """Check harm first, then benefit, then time. Continue while there is too little evidence and time is left."""
        finding, scores = self._compare(evidence)
        if evidence.stopped is not None:
            return self._decision("rollback", breaker_stopped(evidence), scores)
        if scores:
            production, candidate = scores["production"], scores["candidate"]
            if candidate < self.roll_back_below * production:
                return self._decision("rollback", f"{finding}, which is below {self.roll_back_below:g} times.", scores)
            if candidate > self.promote_above * production:
                return self._decision("promote", f"{finding}, which is above {self.promote_above:g} times.", scores)
            finding += f", which is neither above {self.promote_above:g} nor below {self.roll_back_below:g} times"
        if evidence.age >= self.longest:
            return self._decision("inconclusive", f"{time_is_up(evidence, self.longest)}: {finding}.", scores)
        return self._decision("continue", f"{finding}.", scores)

    def _compare(self, evidence: Evidence) -> tuple[str, dict[str, float] | None]:
        """Return the start of the reason, and the scores if both variants have enough data."""
        production, candidate = evidence.production, evidence.candidate
        if candidate.recent_requests < self.least_recent_requests or candidate.ratings < self.least_ratings:
            return (
                f"{candidate.bundle} has {candidate.recent_requests} requests in 24 h and {candidate.ratings} ratings "
                f"so far, and the rule wants {self.least_recent_requests} and {self.least_ratings}"
            ), None
        mine, theirs = self.score(candidate), self.score(production)
        if mine is None or theirs is None:
            lacking = production if theirs is None else candidate
            what = "rating" if lacking.mean_rating is None else "answered request"
            other = candidate if lacking is production else production
            return f"{lacking.bundle} has no {what} yet, so {_rated(other)} cannot be compared with it", None
        ratio = f", {mine / theirs:.3f} times as much" if theirs else ""
        return (f"{_rated(candidate)} scores {mine:.4f} and {_rated(production)} {theirs:.4f}{ratio}"), {
            "production": theirs,
            "candidate": mine,
        }

    def _decision(self, outcome: Outcome, reason: str, scores: dict[str, float] | None) -> Decision:
        return Decision(outcome=outcome, reason=reason, policy=self.name, scores=scores)


def _rated(variant: VariantSummary) -> str:
    """Return a variant's name with the numbers behind its score."""
    stars = (
        "no rating" if variant.mean_rating is None else f"{variant.mean_rating:.2f} stars of {variant.ratings} ratings"
    )
    latency = "no answer" if variant.mean_latency_ms is None else f"{variant.mean_latency_ms:.1f} ms"
    return f"{variant.bundle} ({stars}, {latency})"
