"""Shared by all policies: outcomes, the decision with its reason, and the rules for retraining and voices."""

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
    """Return the start of the reason of an experiment that has reached its maximum duration."""
    limit, age = longest / timedelta(days=1), evidence.age / timedelta(days=1)
    return f"The {limit:g} days are up (day {age:.1f})"


def breaker_stopped(evidence: Evidence) -> str:
    """Return the reason for a candidate that the router's circuit breaker has stopped."""
    return f"The router's circuit breaker had stopped {evidence.candidate.bundle}: {evidence.stopped}"


# Part of the policy document, read by the drift check.


class RetrainingRule(BaseModel):
    """Retrain on drift of the inputs, after this many homes, or on drift of the error; once per drift alert."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_inputs: bool = True
    on_error: bool = True
    least_homes: int = Field(default=100, ge=1)


# Part of the policy document, read when evidence is collected.


class VoiceRule(BaseModel):
    """Limits by network for the voices that count. A voice is a visitor who rates or reports an actual price.

    No network counts for more than `visitors_a_day` new visitors a day and `voices_a_day` new voices, nor for more than
    `network_share` of a variant's visitors, of its raters, and of its visitors who report a price.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    visitors_a_day: int = Field(default=100, ge=1, le=10**9)
    voices_a_day: int = Field(default=10, ge=1, le=10**9)
    network_share: float = Field(default=0.02, gt=0, le=1)


UNLIMITED = VoiceRule(visitors_a_day=10**9, voices_a_day=10**9, network_share=1)
"""The rule of schema version 1, which had no networks."""


class BurstRule(BaseModel):
    """A burst: more first voices in a minute than `voices`, and than `times` the rate until then."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    voices: int = Field(default=10, ge=1, le=10**9)
    times: float = Field(default=20.0, ge=1, le=1e9)


class RobustnessRule(BaseModel):
    """The voices without which a result must also hold: the share `trimmed` at each end (0: no such check), and the
    voices of each single network. Bounds on these parts have the error rate `error_rate` over all looks. It may be
    larger, because the bounds on all voices, which must hold as well, keep the error rates of the policy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trimmed: float = Field(default=0.05, ge=0, lt=0.5)
    without_any_network: bool = True
    error_rate: float = Field(default=0.25, gt=0, lt=0.5)


NOT_ROBUST = RobustnessRule(trimmed=0, without_any_network=False)
"""The rule of schema version 1."""


def in_its_places(decision: Decision, evidence: Evidence, longest: timedelta) -> Decision:
    """Return the decision of a trial in some places, with where it promotes the candidate.

    Before there were regional bundles, such a trial promoted nothing. Records of that time keep their decisions.
    """
    if not evidence.places or decision.outcome != "promote":
        return decision
    if evidence.regional is not None:
        of = "the one place" if len(evidence.places) == 1 else f"the {len(evidence.places)} places"
        return decision.model_copy(
            update={"reason": f"{decision.reason} It holds for {of} of the trial, and no other."}
        )
    reason = (
        f"{decision.reason} The trial is in some places only ({len(evidence.places)}), which say nothing of others: "
        "`homeprices release share PERCENT --everywhere` tries the candidate in the whole city."
    )
    outcome: Outcome = "inconclusive" if evidence.age >= longest else "continue"
    return decision.model_copy(update={"outcome": outcome, "reason": reason})


def with_old_values(document: Any, old: Mapping[str, Any]) -> Any:
    """Return a policy document in which schema version 1 keeps its behaviour, so that its decisions can be replayed.

    `old` are the values of the fields that such a document does not have.
    """
    if isinstance(document, dict) and document.get("schema_version") == 1:
        return {**old, **document}
    return document
