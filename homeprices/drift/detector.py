"""Drift detector: compare all features of a sample with a baseline, at one false alarm rate for the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from homeprices.drift import two_sample_statistics
from homeprices.drift.feature_tests import test_categorical, test_numeric
from homeprices.drift.findings import (
    Finding,
    Rules,
    deciding_test,
    feature_sentence,
    insufficient_sentence,
    overall_sentence,
)
from homeprices.drift.samples import (
    NUMBER_FEATURES,
    TEXT_FEATURES,
    Baseline,
    NumberSample,
    Sample,
    TextSample,
    baseline_of_sample,
    sample_of_visits,
)
from homeprices.input_field import InputField
from homeprices.pricing.features import Locations
from homeprices.pricing.inputs import INPUTS, LOCATION
from homeprices.pricing.manifest import NumberReference, TextReference
from homeprices.words import GROUPS, ITEMS

Status = Literal["ok", "insufficient_data"]


class Verdict(BaseModel):
    """A finding with its p-value adjusted for all features (Holm), and its sentence."""

    model_config = ConfigDict(frozen=True)

    finding: Finding
    p_value: float
    significant: bool
    sentence: str


class Comparison(BaseModel):
    """Result of a comparison. With too few rows nothing is tested, and the `verdicts` say so."""

    model_config = ConfigDict(frozen=True)

    status: Status
    rows: int
    reference_rows: int
    least_rows: int
    distinct_rows: tuple[int, int] | None = None
    """The different homes of the current sample and of the reference, where they were compared as well."""
    alpha: float
    verdicts: dict[str, Verdict]

    @property
    def drifted(self) -> tuple[str, ...]:
        """The features that drifted."""
        return tuple(name for name, verdict in self.verdicts.items() if verdict.significant)

    def summary(self) -> dict[str, Any]:
        """Return the values that are stored and that the API returns: indicators and test results of each feature."""
        return {
            "status": self.status,
            "data_points": self.rows,
            "reference_points": self.reference_rows,
            "alpha": self.alpha,
            "drift_indicators": {name: _indicator(verdict) for name, verdict in self.verdicts.items()},
            "overall_drift_detected": bool(self.drifted),
            "drifted": list(self.drifted),
            "sentence": self._sentence(),
        }

    def _sentence(self) -> str:
        if self.status == "insufficient_data":
            return insufficient_sentence(self.rows, self.reference_rows, self.least_rows, self.distinct_rows)
        return overall_sentence(self.rows, {name: one.sentence for name, one in self.verdicts.items()}, self.drifted)


def compare(baseline: Baseline, current: Sample, rules: Rules | None = None) -> Comparison:
    """Compare the current sample with the baseline, feature by feature.

    A feature that only one of the two has is reported and not tested.
    """
    rules = rules or Rules()
    names = [
        name for name in (*NUMBER_FEATURES, *TEXT_FEATURES) if name in baseline.features or name in current.features
    ]
    findings = {name: _test_feature(name, baseline, current, rules) for name in names}
    enough = current.rows >= rules.least_rows and baseline.rows >= rules.least_rows
    tested = {name: found for name, found in findings.items() if found.tests} if enough else {}
    adjusted = two_sample_statistics.holm(
        {name: two_sample_statistics.simes([test.counted for test in found.tests]) for name, found in tested.items()}
    )
    verdicts = {}
    for name, found in findings.items():
        p_value = adjusted.get(name, 1.0)
        significant = p_value <= rules.alpha
        verdicts[name] = Verdict(
            finding=found,
            p_value=p_value,
            significant=significant,
            sentence=feature_sentence(found, p_value, significant=significant),
        )
    return Comparison(
        status="ok" if tested else "insufficient_data",
        rows=current.rows,
        reference_rows=baseline.rows,
        least_rows=rules.least_rows,
        alpha=rules.alpha,
        verdicts=verdicts,
    )


def confirmed(found: Comparison, distinct: Comparison) -> Comparison:
    """Return `found` without the drift that `distinct`, the comparison of the distinct homes, does not confirm.

    Each p-value is the larger of both, so the false alarm rate stays below alpha if either comparison keeps it: the
    first if equal rows are different homes, the second if they are copies.
    """
    verdicts = {}
    for name, verdict in found.verdicts.items():
        p_value = max(verdict.p_value, distinct.verdicts[name].p_value)
        significant = verdict.significant and distinct.verdicts[name].significant
        sentence = feature_sentence(verdict.finding, p_value, significant=significant)
        changed = {"p_value": p_value, "significant": significant, "sentence": sentence}
        verdicts[name] = verdict.model_copy(update=changed)
    status: Status = "ok" if (found.status, distinct.status) == ("ok", "ok") else "insufficient_data"
    rows = (distinct.rows, distinct.reference_rows)
    return found.model_copy(update={"status": status, "verdicts": verdicts, "distinct_rows": rows})


def _test_feature(name: str, baseline: Baseline, current: Sample, rules: Rules) -> Finding:
    reference, seen = baseline.features.get(name), current.features.get(name)
    if reference is None:
        return Finding(feature=name, status="not_in_reference")
    if seen is None:
        return Finding(feature=name, status="not_in_current")
    choice = name in baseline.blank_is_choice
    if isinstance(reference, NumberReference | NumberSample) and isinstance(seen, NumberSample):
        return test_numeric(name, reference, seen, rules, blank_is_choice=choice)
    if isinstance(reference, TextReference | TextSample) and isinstance(seen, TextSample):
        return test_categorical(name, reference, seen, rules, blank_is_choice=choice)
    return Finding(feature=name, status="not_in_reference")  # text in the reference, numbers here


def _indicator(verdict: Verdict) -> dict[str, Any]:
    found = verdict.finding
    percent = None
    if found.reference_mean and found.current_mean is not None:
        percent = abs(found.current_mean - found.reference_mean) / abs(found.reference_mean) * 100
    return {
        "reference_mean": found.reference_mean,
        "current_mean": found.current_mean,
        "drift_percentage": percent,
        "significant_drift": verdict.significant,
        "status": found.status,
        "test": deciding_test(found),
        "p_value": verdict.p_value,
        "effect": found.effect.model_dump(),
        "sentence": verdict.sentence,
        "tests": {test.name: test.p_value for test in found.tests},
        "data_points": found.current_rows,
        "missing_share": {"reference": found.reference_missing, "current": found.current_missing},
        "new_values": found.new_values,
        "range": found.range,
        "out_of_range": {"below": found.below_range, "above": found.above_range},
        "moved": [word.model_dump() for word in found.moved],
        "bars": [list(bar) for bar in found.bars],
    }


# Comparison of the two variants, and of segments of the visitors.
#
# These comparisons do not raise the report's alarm, so that its false alarm rate stays alpha.


Visit = Mapping[str, Any]


def compare_variants(production: Sequence[Visit], candidate: Sequence[Visit]) -> dict[str, Any]:
    """Compare the inputs of the candidate's visitors with those of production's. A sound split makes them equal.

    Estimates are excluded, because they come from two models.
    """
    return _without_features(
        compare(baseline_of_sample(sample_of_visits(_inputs(production))), sample_of_visits(_inputs(candidate)))
    )


def compare_segments(before: Sequence[Visit], now: Sequence[Visit], locations: Locations) -> dict[str, dict[str, Any]]:
    """Compare each segment of the visitors with the same segment before, at one false alarm rate for all segments."""
    segments = segments_of(locations)
    rules = Rules(alpha=Rules().alpha / len(segments))
    found = {}
    for name, belongs in segments.items():
        earlier, later = [visit for visit in before if belongs(visit)], [visit for visit in now if belongs(visit)]
        baseline = baseline_of_sample(sample_of_visits(earlier))
        found[name] = _without_features(compare(baseline, sample_of_visits(later), rules))
    return found


def segments_of(locations: Locations) -> dict[str, Callable[[Visit], bool]]:
    """The visitors of each segment.

    Each visitor is in two: by the size of the home, and by whether its location is known.
    """
    segments: dict[str, Callable[[Visit], bool]] = {}
    for field in INPUTS:
        if field.segment_limit is not None:
            segments[f"{ITEMS} of up to {field.segment_limit} {field.noun}"] = partial(_is_small, field)
            segments[f"{ITEMS} of more than {field.segment_limit} {field.noun}"] = partial(_is_large, field)
    return {
        **segments,
        f"{GROUPS} that the model knows": lambda visit: str(visit.get(LOCATION, "")) in locations,
        f"other {GROUPS}": lambda visit: str(visit.get(LOCATION, "")) not in locations,
    }


def _is_small(field: InputField, visit: Visit) -> bool:
    return bool(visit.get(field.name, 0) <= field.segment_limit)


def _is_large(field: InputField, visit: Visit) -> bool:
    return not _is_small(field, visit)


def _inputs(visits: Sequence[Visit]) -> list[Visit]:
    return [{name: value for name, value in visit.items() if name != "estimate"} for visit in visits]


def _without_features(found: Comparison) -> dict[str, Any]:
    """Return the summary without its features."""
    summary = found.summary()
    return {name: summary[name] for name in ("status", "data_points", "overall_drift_detected", "drifted", "sentence")}
