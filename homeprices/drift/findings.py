"""Result types of the drift tests, and the sentences that describe them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from homeprices.foreign_text import quoted
from homeprices.pricing.inputs import INPUTS
from homeprices.words import ITEMS

KOLMOGOROV_SMIRNOV = "Kolmogorov-Smirnov"
MANN_WHITNEY = "Mann-Whitney"
G_TEST = "G-test"
SINGLE_VALUES = "binomial test of each value"
MISSING_VALUES = "binomial test of the missing values"


FeatureStatus = Literal["ok", "insufficient_data", "not_in_reference", "not_in_current"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rules(_Value):
    """Conditions under which a difference is drift. `alpha` is the probability of any false alarm in a comparison.

    A difference must be significant and reach its floor. Each floor is less than half the effect of the changes that
    must be found (documentations/drift.md). Units: standard deviations of the reference, points of the stability index
    beyond chance, shares of the homes.
    """

    alpha: float = Field(default=0.05, gt=0, lt=1)
    least_rows: int = Field(default=30, ge=2)
    wasserstein_floor: float = Field(default=0.05, ge=0)
    index_floor: float = Field(default=0.02, ge=0)
    share_floor: float = Field(default=0.01, ge=0, le=1)


class Test(_Value):
    """One test of a feature: its p-value, and whether its effect reaches the floor."""

    name: str
    p_value: float
    matters: bool

    @property
    def counted(self) -> float:
        """The p-value, or 1 below the floor, which can only make an alarm less likely."""
        return self.p_value if self.matters else 1.0


class ShiftedCategory(_Value):
    """A category whose share of the homes changed; the p-value is Bonferroni-adjusted.

    `at_most`: the reference merged it into `other`, and `reference_share` is an upper bound.
    """

    name: str
    reference_share: float
    current_share: float
    p_value: float
    at_most: bool = False


class Effect(_Value):
    """Effect sizes: `wasserstein` in standard deviations of the reference, `stability_index` beyond chance."""

    wasserstein: float | None = None
    stability_index: float | None = None
    jensen_shannon: float | None = None


class Finding(_Value):
    """Result for one feature, before the adjustment for all features.

    `new_values` are categories that the reference does not have, with counts; `range` is the reference's, and
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
    moved: tuple[ShiftedCategory, ...] = ()
    bars: tuple[tuple[str, float, float], ...] = ()


NAMES = {
    **{field.name: field.drift_name for field in INPUTS},
    "estimated_price": "estimated price",
    "price": "asking price",
}

SMALLEST_SHOWN = 1e-6

TOO_SMALL = " Significant, and too small to matter."
TOO_SMALL_BELOW = 0.001
"""P-value below which a difference under its floor is mentioned."""


def deciding_test(found: Finding) -> str:
    """Return the name of the test with the smallest counted p-value; empty without a test."""
    return min(found.tests, key=lambda test: (test.counted, test.p_value)).name if found.tests else ""


def feature_sentence(found: Finding, p_value: float, *, significant: bool) -> str:
    """Describe one feature in one or two sentences; `p_value` is adjusted for all features."""
    name = NAMES.get(found.feature, found.feature)
    if found.status == "not_in_reference":
        return f"The {name} is not in the reference, so it was not compared."
    if found.status == "not_in_current":
        return f"The {name} is not in what was compared."
    if found.status == "insufficient_data" or not found.tests:
        return f"The {name} is known of {found.current_rows:,} {ITEMS}, too few to say anything." + _news(found)
    if not significant:
        small = any(test.p_value < TOO_SMALL_BELOW and not test.matters for test in found.tests)
        return f"The {name} has not changed{_shown(p_value)}." + small * TOO_SMALL + _news(found)
    if deciding_test(found) == MISSING_VALUES:
        before, after = _percent(found.reference_missing), _percent(found.current_missing)
        return f"The {name} is missing in {after} of the {ITEMS}, instead of {before}{_shown(p_value)}." + _news(found)
    return f"The {name} has changed: {_change(found)}{_shown(p_value)}." + _news(found)


DESCRIBED = 3
"""Drifted features that the sentence of a comparison describes; it only names the others."""


def overall_sentence(rows: int, by_feature: Mapping[str, str], drifted: tuple[str, ...]) -> str:
    """Describe a comparison with enough data in a few sentences."""
    if not drifted:
        return f"Nothing has changed in {rows:,} {ITEMS}."
    others = ", ".join(NAMES.get(name, name) for name in drifted[DESCRIBED:])
    return " ".join(by_feature[name] for name in drifted[:DESCRIBED]) + (f" Also changed: {others}." if others else "")


def insufficient_sentence(rows: int, reference_rows: int, least: int, distinct: tuple[int, int] | None) -> str:
    """Say which side of a comparison has too few homes. `distinct` counts the different homes of both sides."""
    if rows < least:
        return f"{rows:,} {ITEMS} are too few to say anything."
    if reference_rows < least:
        return (
            f"{rows:,} {ITEMS} cannot be compared: the reference has {reference_rows:,}, at least {least:,} are needed."
        )
    if distinct and min(distinct) < least:
        return (
            f"{rows:,} {ITEMS} cannot be compared with {reference_rows:,}: only {distinct[0]:,} and {distinct[1]:,} of "
            f"them differ from each other, at least {least:,} are needed on both sides."
        )
    return f"{rows:,} {ITEMS} cannot be compared: no feature is known of at least {least:,} {ITEMS} on both sides."


def _change(found: Finding) -> str:
    if found.moved:
        return "; ".join(
            f"{quoted(word.name)} is {_percent(word.current_share)} of the {ITEMS}, instead of "
            f"{'at most ' if word.at_most else ''}{_percent(word.reference_share)}"
            for word in found.moved[:3]
        )
    if found.reference_mean is not None and found.current_mean is not None:
        moved = found.effect.wasserstein
        by = "" if moved is None else f", and values lie {moved:.2f} standard deviations away on average"
        return f"its mean is {found.current_mean:,.4g} instead of {found.reference_mean:,.4g}{by}"
    index = found.effect.stability_index or 0.0
    return f"the shares of its values are others (stability index {index:.2f} beyond chance)"


def _news(found: Finding) -> str:
    """Describe new categories and values outside the reference's range, significant or not."""
    said = ""
    if found.new_values:
        words = ", ".join(f"{quoted(word)} ({count:,})" for word, count in found.new_values.items())
        said += f" Not in the reference: {words}."
    if found.range and found.below_range + found.above_range:
        low, high = found.range
        outside = found.below_range + found.above_range
        said += f" {outside:,} outside the reference's range of {low:,.6g} to {high:,.6g}."
    return said


def _shown(p_value: float) -> str:
    return f" (p < {SMALLEST_SHOWN:g})" if p_value < SMALLEST_SHOWN else f" (p = {p_value:.2g})"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
