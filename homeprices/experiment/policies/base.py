"""What every policy shares: outcomes, the decision with its reason, and the rule for retraining."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from homeprices.experiment.evidence import Evidence, _Value

Outcome = Literal["invalid", "rollback", "promote", "continue", "inconclusive"]


class Decision(_Value):
    """The outcome and its reason in one sentence.

    `scores` are the composites by variant. `statistics` are all numbers that decided or are reported. A name is missing
    if there was no data for it.
    """

    outcome: Outcome
    reason: str
    policy: str
    scores: dict[str, float] | None = None
    statistics: dict[str, float] = Field(default_factory=dict)


def time_is_up(evidence: Evidence, longest: timedelta) -> str:
    """The beginning of a sentence."""
    limit, age = longest / timedelta(days=1), evidence.age / timedelta(days=1)
    return f"The {limit:g} days are up (day {age:.1f})"


def breaker_stopped(evidence: Evidence) -> str:
    """The sentence for a candidate that the router's circuit breaker has stopped."""
    return f"The router's circuit breaker had stopped {evidence.candidate.bundle}: {evidence.stopped}"


# Part of the policy document, read by the drift check.


class RetrainingRule(BaseModel):
    """When the inputs drift, of which so many homes must have been seen; when the error does. Once for each drift."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_inputs: bool = True
    on_error: bool = True
    least_homes: int = Field(default=100, ge=1)


# Part of the policy document, read when evidence is collected.


class VoiceRule(BaseModel):
    """Whose voice counts. A voice is a visitor who rates or tells a price.

    No network counts for more than `visitors_a_day` new visitors a day and `voices_a_day` new voices, nor for more than
    `network_share` of a variant's visitors, of its raters, and of its visitors who tell a price.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    visitors_a_day: int = Field(default=100, ge=1, le=10**9)
    voices_a_day: int = Field(default=10, ge=1, le=10**9)
    network_share: float = Field(default=0.02, gt=0, le=1)


UNLIMITED = VoiceRule(visitors_a_day=10**9, voices_a_day=10**9, network_share=1)
"""As policies of schema version 1 were, which knew no networks."""


class BurstRule(BaseModel):
    """When voices come too fast: more in a minute than `voices`, and than `times` the rate until then."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    voices: int = Field(default=10, ge=1, le=10**9)
    times: float = Field(default=20.0, ge=1, le=1e9)


class RobustnessRule(BaseModel):
    """What a result by voices must hold without: `trimmed`, a share of the voices at each end (0: need not hold without
    any), and the voices of each single network. Bounds of the ratings there err at `error_rate` over all looks, because
    those on all voices, which must hold as well, already keep the rates of the policy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trimmed: float = Field(default=0.05, ge=0, lt=0.5)
    without_any_network: bool = True
    error_rate: float = Field(default=0.25, gt=0, lt=0.5)


NOT_ROBUST = RobustnessRule(trimmed=0, without_any_network=False)
"""As policies of schema version 1 were."""


def with_old_values(document: Any, old: Mapping[str, Any]) -> Any:
    """Return a policy document; one of schema version 1 decides as it did, so that its record can be replayed.

    `old` are the values of the fields that such a document does not know.
    """
    if isinstance(document, dict) and document.get("schema_version") == 1:
        return {**old, **document}
    return document
