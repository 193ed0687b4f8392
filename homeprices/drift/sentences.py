"""What a finding comes to, in plain words."""

from __future__ import annotations

from collections.abc import Mapping

from homeprices.drift.features import MISSING_VALUES
from homeprices.drift.finding import Finding

NAMES = {
    "total_sqft": "area", "bhk": "number of bedrooms", "bath": "number of baths", "balcony": "number of balconies",
    "estimated_price": "estimated price", "price": "asking price", "location": "location", "area_type": "area type",
    "availability": "availability", "society": "society",
}  # fmt: skip

SMALLEST_SHOWN = 1e-6

TOO_SMALL = " Significant, and too small to matter."
TOO_SMALL_BELOW = 0.001
"""A difference below its floor is mentioned when it is beyond doubt."""


def deciding_test(found: Finding) -> str:
    """The name of the test that counts most; empty when nothing was tested."""
    return min(found.tests, key=lambda test: (test.counted, test.p_value)).name if found.tests else ""


def of_feature(found: Finding, p_value: float, *, significant: bool) -> str:
    """One feature in one or two sentences; `p_value` is adjusted for all features."""
    name = NAMES.get(found.feature, found.feature)
    if found.status == "not_in_reference":
        return f"The {name} is not in the reference, so it was not compared."
    if found.status == "not_in_current":
        return f"The {name} is not in what was compared."
    if found.status == "insufficient_data" or not found.tests:
        return f"The {name} is known of {found.current_rows:,} homes, too few to say anything." + _news(found)
    if not significant:
        small = any(test.p_value < TOO_SMALL_BELOW and not test.matters for test in found.tests)
        return f"The {name} has not changed{_shown(p_value)}." + small * TOO_SMALL + _news(found)
    if deciding_test(found) == MISSING_VALUES:
        before, after = _percent(found.reference_missing), _percent(found.current_missing)
        return f"The {name} is missing in {after} of the homes, instead of {before}{_shown(p_value)}." + _news(found)
    return f"The {name} has changed: {_change(found)}{_shown(p_value)}." + _news(found)


def of_all(status: str, rows: int, by_feature: Mapping[str, str], drifted: tuple[str, ...]) -> str:
    """The whole comparison in a sentence or two."""
    if status == "insufficient_data":
        return f"{rows:,} homes are too few to say anything."
    if not drifted:
        return f"Nothing has changed in {rows:,} homes."
    return " ".join(by_feature[name] for name in drifted)


def _change(found: Finding) -> str:
    if found.moved:
        return "; ".join(
            f"{word.name} is {_percent(word.current_share)} of the homes, instead of "
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
    """New words and values outside the reference's range, named whether or not they make a difference."""
    said = ""
    if found.new_values:
        words = ", ".join(f"{word} ({count:,})" for word, count in found.new_values.items())
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
