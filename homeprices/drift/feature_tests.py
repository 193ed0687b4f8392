"""Tests of one feature in two samples, with effect sizes, shifted categories and new values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from homeprices.drift import display_bins, two_sample_statistics
from homeprices.drift.findings import (
    G_TEST,
    KOLMOGOROV_SMIRNOV,
    MANN_WHITNEY,
    MISSING_VALUES,
    SINGLE_VALUES,
    Effect,
    Finding,
    Rules,
    ShiftedCategory,
    Test,
)
from homeprices.drift.samples import Floats, NumberSample, TextSample, matched_locations
from homeprices.drift.two_sample_statistics import (
    CategoryHistogram,
    NumericHistogram,
    category_histogram,
    grouped,
    merge_rare_cells,
    numeric_histogram,
)
from homeprices.pricing.features import OTHER_LOCATION
from homeprices.pricing.inputs import LOCATION, WHOLE_NUMBERS
from homeprices.pricing.manifest import NumberReference, TextReference

NEW_SHOWN = 5


def test_numeric(
    name: str, reference: NumberReference | NumberSample, current: NumberSample, rules: Rules, *, blank_is_choice: bool
) -> Finding:
    """Test whether the distribution of a number, or the share of its missing values, has changed."""
    present = _present(reference)
    found = Finding(
        feature=name,
        reference_rows=present,
        current_rows=current.present,
        reference_missing=_share(reference.missing, present),
        current_missing=_share(current.missing, current.present),
        reference_mean=reference.mean if present else None,
        current_mean=current.mean,
    )
    if present:
        found = _with_range(found, reference, current)
    missing = _missing_test(reference.missing, current.missing, found, rules, blank_is_choice)
    if min(present, current.present) < rules.least_rows:
        return _too_few(found, missing)
    cells = numeric_histogram(reference, current)
    shares = grouped(cells)
    effect = Effect(
        wasserstein=two_sample_statistics.wasserstein(_percentiles(reference), current.percentiles),
        stability_index=two_sample_statistics.beyond_chance(*shares),
        jensen_shannon=two_sample_statistics.jensen_shannon(*shares),
    )
    matters = (
        two_sample_statistics.beyond_chance(*shares) >= rules.index_floor
        if effect.wasserstein is None
        else effect.wasserstein >= rules.wasserstein_floor
    )
    tests = (
        Test(
            name=MANN_WHITNEY,
            p_value=two_sample_statistics.mann_whitney(cells.reference, cells.current),
            matters=matters,
        ),
        _shape_test(name, cells, matters),
    )
    drawn = display_bins.numeric_bins(reference, current)
    return found.model_copy(update={"tests": tests + missing, "effect": effect, "bars": drawn})


def test_categorical(
    name: str, reference: TextReference | TextSample, current: TextSample, rules: Rules, *, blank_is_choice: bool
) -> Finding:
    """Test whether the shares of categories, of any single one, or of missing values have changed."""
    new = {word: count for word, count in current.counts.items() if word not in reference.counts}
    matched = current
    if name == LOCATION:
        matched, new = matched_locations(reference, current)
    present = sum(reference.counts.values())
    found = Finding(
        feature=name,
        reference_rows=present,
        current_rows=current.present,
        reference_missing=_share(reference.missing, present),
        current_missing=_share(current.missing, current.present),
        new_values=dict(sorted(new.items(), key=lambda item: (-item[1], item[0]))[:NEW_SHOWN]),
    )
    missing = _missing_test(reference.missing, current.missing, found, rules, blank_is_choice)
    if min(present, current.present) < rules.least_rows:
        return _too_few(found, missing)
    cells = category_histogram(reference, matched)
    common = merge_rare_cells(cells.reference, cells.current)
    index = two_sample_statistics.beyond_chance(*common)
    each = test_each_category(cells, new if matched is not current else {})
    matter = each.change >= rules.share_floor
    moved = shifted_categories(each, rules)
    update = {
        "tests": (
            Test(name=G_TEST, p_value=two_sample_statistics.g_test(*common), matters=index >= rules.index_floor),
            Test(
                name=SINGLE_VALUES,
                p_value=float(each.p_values[matter].min()) if matter.any() else 1.0,
                matters=bool(matter.any()),
            ),
            *missing,
        ),
        "effect": Effect(stability_index=index, jensen_shannon=two_sample_statistics.jensen_shannon(*common)),
        "moved": moved,
        "bars": display_bins.category_bins(cells, moved),
    }
    return found.model_copy(update=update)


def _shape_test(name: str, cells: NumericHistogram, matters: bool) -> Test:
    """Test the shape, too. Kolmogorov-Smirnov has little power for a handful of whole numbers: use the G-test."""
    if name in WHOLE_NUMBERS:
        p_value = two_sample_statistics.g_test(*merge_rare_cells(cells.reference, cells.current))
        return Test(name=G_TEST, p_value=p_value, matters=matters)
    p_value = two_sample_statistics.kolmogorov_smirnov(cells.reference, cells.current)
    return Test(name=KOLMOGOROV_SMIRNOV, p_value=p_value, matters=matters)


def _missing_test(
    reference: int, current: int, found: Finding, rules: Rules, blank_is_choice: bool
) -> tuple[Test, ...]:
    """Test the missing values; no test if there are none, if blank is a choice, or with too few rows."""
    rows = found.reference_rows + reference, found.current_rows + current
    if blank_is_choice or min(rows) < rules.least_rows or not reference + current:
        return ()
    return (
        Test(
            name=MISSING_VALUES,
            p_value=two_sample_statistics.count_test(reference, rows[0], current, rows[1]),
            matters=abs(found.current_missing - found.reference_missing) >= rules.share_floor,
        ),
    )


def _too_few(found: Finding, missing: tuple[Test, ...]) -> Finding:
    """Return a finding without tests of the values; the test of missing values still counts."""
    return found.model_copy(update={"tests": missing, "status": "ok" if missing else "insufficient_data"})


def _with_range(found: Finding, reference: NumberReference | NumberSample, current: NumberSample) -> Finding:
    low, high = (
        (reference.minimum, reference.maximum)
        if isinstance(reference, NumberReference)
        else (float(reference.values[0]), float(reference.values[-1]))
    )
    # Bundles hold float32 values: 1056.3 was seen in training as 1056.30005.
    values = current.values.astype(np.float32) if isinstance(reference, NumberReference) else current.values
    return found.model_copy(
        update={
            "range": (low, high),
            "below_range": int(current.counts[values < low].sum()),
            "above_range": int(current.counts[values > high].sum()),
        }
    )


def _percentiles(reference: NumberReference | NumberSample) -> Floats | None:
    return None if reference.percentiles is None else np.asarray(reference.percentiles, dtype=np.float64)


def _present(reference: NumberReference | NumberSample) -> int:
    return sum(reference.counts) if isinstance(reference, NumberReference) else reference.present


def _share(missing: int, present: int) -> float:
    return missing / (missing + present) if missing + present else 0.0


MOVED_SHOWN = 5


@dataclass(frozen=True, eq=False)
class CategoryShares:
    """Categories with their shares in both samples, and p-values times the number of categories (Bonferroni).

    The last `unlisted` categories are not in the reference, which merges rare locations into `other`. For these,
    `before` is an upper bound on the reference share, and only an increase above it counts as a shift.
    """

    names: tuple[str, ...]
    before: Floats
    after: Floats
    p_values: Floats
    unlisted: int

    @property
    def change(self) -> Floats:
        """Change of each share, from 0 to 1."""
        change = self.after - self.before
        bounded = np.arange(len(self.names)) >= len(self.names) - self.unlisted
        return np.where(bounded, np.maximum(change, 0.0), np.abs(change))


def test_each_category(cells: CategoryHistogram, unlisted: Mapping[str, int]) -> CategoryShares:
    """Test every category, and every location that the reference merges into `other`.

    A merged location had at most as many rows as the rarest one that was not merged.
    """
    rows = float(cells.reference.sum()), float(cells.current.sum())
    p_values = two_sample_statistics.share_tests(cells.reference, cells.current, rows)
    reference, current, names = cells.reference, cells.current, cells.names
    listed = [n for n, name in zip(cells.reference, cells.names, strict=True) if n > 0 and name != OTHER_LOCATION]
    if OTHER_LOCATION not in cells.names or not listed:
        unlisted = {}
    if unlisted:
        at_most = np.full(len(unlisted), min(listed))
        counts = np.array(list(unlisted.values()), dtype=np.float64)
        p_values = np.concatenate([p_values, two_sample_statistics.excess_tests(at_most, counts, rows)])
        reference, current = np.concatenate([reference, at_most]), np.concatenate([current, counts])
        names = (*names, *unlisted)
    adjusted = np.minimum(1.0, p_values * len(names))
    return CategoryShares(names, reference / rows[0], current / rows[1], adjusted, len(unlisted))


def shifted_categories(words: CategoryShares, rules: Rules) -> tuple[ShiftedCategory, ...]:
    """The categories whose share changed significantly and by more than the floor, in rising order of p-value."""
    counted = np.where(words.change >= rules.share_floor, words.p_values, 1.0)
    order = [int(i) for i in np.argsort(counted, kind="stable")[:MOVED_SHOWN] if counted[i] <= rules.alpha]
    return tuple(
        ShiftedCategory(
            name=words.names[i],
            reference_share=float(words.before[i]),
            current_share=float(words.after[i]),
            p_value=float(words.p_values[i]),
            at_most=i >= len(words.names) - words.unlisted,
        )
        for i in order
    )
