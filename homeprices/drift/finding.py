"""What is found about one feature, and the rules by which a difference counts."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FeatureStatus = Literal["ok", "insufficient_data", "not_in_reference", "not_in_current"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rules(_Value):
    """When a difference counts. `alpha` is the probability of any false alarm in one whole comparison.

    A difference must be significant and matter. The floors are at less than half of what the changes make that must be
    found (documentations/drift.md): standard deviations of the reference, points of the stability index beyond chance,
    and shares of the homes.
    """

    alpha: float = Field(default=0.05, gt=0, lt=1)
    least_rows: int = Field(default=30, ge=2)
    wasserstein_floor: float = Field(default=0.05, ge=0)
    index_floor: float = Field(default=0.02, ge=0)
    share_floor: float = Field(default=0.01, ge=0, le=1)


class Test(_Value):
    """One test of a feature: its p-value, and whether the effect that it speaks of reaches its floor."""

    name: str
    p_value: float
    matters: bool

    @property
    def counted(self) -> float:
        """The p-value that counts: 1 for what does not matter, which can only make an alarm less likely."""
        return self.p_value if self.matters else 1.0


class MovedWord(_Value):
    """A place, or another word, whose share of the homes changed; shares from 0 to 1, the p-value times the words.

    `at_most`: the reference had it among `other`, and `reference_share` is the most that it can have been.
    """

    name: str
    reference_share: float
    current_share: float
    p_value: float
    at_most: bool = False


class Effect(_Value):
    """How much changed: `wasserstein` in standard deviations of the reference, `stability_index` beyond chance."""

    wasserstein: float | None = None
    stability_index: float | None = None
    jensen_shannon: float | None = None


class Finding(_Value):
    """One feature, before all are judged together.

    `new_values` are words that the reference does not know, with their counts; `range` is the reference's, and
    `below_range` and `above_range` count the homes outside; `bars` are (label, reference share, current share).
    """

    feature: str
    status: FeatureStatus = "ok"
    tests: tuple[Test, ...] = ()
    effect: Effect = Effect()
    reference_rows: int = 0
    current_rows: int = 0
    reference_missing: float = 0.0
    current_missing: float = 0.0
    reference_mean: float | None = None
    current_mean: float | None = None
    range: tuple[float, float] | None = None
    below_range: int = 0
    above_range: int = 0
    new_values: dict[str, int] = {}
    moved: tuple[MovedWord, ...] = ()
    bars: tuple[tuple[str, float, float], ...] = ()
