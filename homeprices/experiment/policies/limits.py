"""Parts of the sequential policy's document: the primary metric, error rates, and limits of harm."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from homeprices.experiment.sample_ratio import DEFAULT_CONCENTRATION, DEFAULT_ERROR_RATE


class Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Primary(Document):
    """The composite: weights of rating and speed, and the latency at which the speed is zero.

    `bounds` is how ratings are bounded: `asymptotic`, or `bounded`, which holds from the first rating on and is wider.
    """

    rating_weight: float = Field(default=0.7, gt=0, le=1)
    speed_weight: float = Field(default=0.3, ge=0, le=1)
    slowest_ms: float = Field(default=5000.0, gt=0)
    bounds: Literal["asymptotic", "bounded"] = "asymptotic"


class Minimum(Document):
    """Minimum data for a decision by the primary metric. Rated visitors are counted in the smaller variant."""

    exposures: int = Field(default=50, ge=1)
    ratings: int = Field(default=10, ge=1)
    rated_visitors: int = Field(default=30, ge=2)


class Margins(Document):
    """Promote when the lower bound is above `promote`, roll back when the upper one is below `harm`; composite."""

    promote: float = Field(default=0.0, ge=-1, le=1)
    harm: float = Field(default=0.0, ge=-1, le=1)


class ErrorRates(Document):
    """Error rates over all looks of an experiment; `guardrail` applies to each guardrail separately."""

    promote: float = Field(default=0.05, gt=0, lt=0.5)
    harm: float = Field(default=0.05, gt=0, lt=0.5)
    guardrail: float = Field(default=0.002, gt=0, lt=0.5)
    sample_ratio: float = Field(default=DEFAULT_ERROR_RATE, gt=0, lt=0.5)


class Guardrails(Document):
    """Limits of harm.

    `error_share` is the share of the candidate's requests that may fail. An answer is slow above `slow_ratio` times
    production's 99th percentile, and never below `slow_at_least_ms`; the share `slow_share` may be slow. `price_error`
    is the additional price error that is allowed, as a share of the price. Guardrails apply from `visitors` visitors
    on.
    """

    error_share: float = Field(default=0.02, ge=0, lt=1)
    slow_ratio: float = Field(default=2.0, ge=1)
    slow_at_least_ms: float = Field(default=100.0, gt=0)
    slow_share: float = Field(default=0.01, gt=0, lt=1)
    price_error: float = Field(default=0.0, ge=0, le=1)
    visitors: int = Field(default=50, ge=2)


class SampleRatio(Document):
    """The prior of the SRM test; its weight in visitors."""

    concentration: float = Field(default=DEFAULT_CONCENTRATION, gt=0)
