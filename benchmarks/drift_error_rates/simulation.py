"""Repeated samples from real listings, and the findings of each rule.

Reference and sample are drawn with replacement from all clean listings, so that without a shift both come from exactly
the same population. Our rules drop repetitions from both, as from two files of listings. The asking price stands in for
the estimate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from benchmarks.drift_error_rates import rival_rules
from benchmarks.drift_error_rates.population import NUMBERS, WORDS, Homes
from benchmarks.drift_error_rates.shifts import Shift, each, nothing, shifts
from homeprices.drift.detector import compare
from homeprices.drift.samples import Baseline, TextSample, baseline_of_sample
from homeprices.pricing.features import OTHER_LOCATION
from homeprices.pricing.inputs import OPTIONAL
from homeprices.pricing.manifest import NumberReference, TextReference
from homeprices.training.bundle_metadata import number_reference

SIZES = (50, 100, 200, 500, 1000, 2000, 5000)
POWER_SIZE = 500
REPEATED = (2, 5)
"""How often each home stands in a sample that holds nothing but copies."""

REFERENCE_ROWS = 8000
"""About what a model is fitted on, of the public listings."""

LEARNED_LISTINGS = 10
"""A place with fewer is lumped into `other` by the models."""

EVIDENTLY = "Evidently's defaults"
RULES = ("ours, two files", "ours, as served", EVIDENTLY, "mean moved by 20 %")


@dataclass
class Found:
    """By rule: the features in which it found drift, for each sample. `moved` is the feature that was shifted."""

    size: int
    shift: str
    moved: str | None
    by_rule: dict[str, list[set[str]]] = field(default_factory=lambda: {rule: [] for rule in RULES})

    def any_share(self, rule: str) -> float:
        """Return the share of samples in which the rule found any drift."""
        return float(np.mean([bool(names) for names in self.by_rule[rule]]))

    def column_share(self, rule: str, column: str) -> float:
        """Return the share of samples in which the rule found drift of a column."""
        return float(np.mean([column in names for names in self.by_rule[rule]]))

    def hit_share(self, rule: str) -> float:
        """Return the share of samples in which the rule found the shifted feature."""
        return float(np.mean([self.moved in names for names in self.by_rule[rule]]))


def simulate(population: Homes, runs: int, seed: int, sizes: tuple[int, ...] = SIZES) -> Iterator[Found]:
    """Yield the results without a shift at every size, then with repeated homes, then of every shift at 500 homes."""
    for size in sizes:
        yield _found(population, Found(size, "none", None), nothing, runs, seed)
    for times in REPEATED:
        name = f"none, each home {times} times"
        yield _found(population, Found(POWER_SIZE, name, None), each(times), runs, seed)
    for name, (moved, shift) in shifts(population).items():
        yield _found(population, Found(POWER_SIZE, name, moved), shift, runs, seed)


def _found(population: Homes, found: Found, shift: Shift, runs: int, seed: int) -> Found:
    for run in range(runs):
        chance = np.random.default_rng([seed, found.size, run])
        reference = population.drawn(REFERENCE_ROWS, chance)
        current = shift(population.drawn(found.size, chance), chance)
        sample, learned = current.distinct().sample(), reference.distinct()
        baseline = baseline_of_sample(learned.sample())
        said = (
            set(compare(baseline, sample).drifted),
            set(compare(as_served(learned, baseline), sample).drifted),
            rival_rules.evidently(reference, current),
            rival_rules.means(reference, current),
        )
        for rule, names in zip(RULES, said, strict=True):
            found.by_rule[rule].append(names)
    return found


def as_served(homes: Homes, baseline: Baseline) -> Baseline:
    """Return the baseline of a bundle that is fitted on these homes: numbers in ten bins, rare locations merged."""
    features: dict[str, NumberReference | TextReference] = {
        name: number_reference(homes.numbers[name].astype(np.float32).astype(np.float64)) for name in NUMBERS
    }
    for name in WORDS:
        seen = baseline.features[name]
        if isinstance(seen, TextSample):
            features[name] = TextReference(counts=_lumped(name, seen), missing=seen.missing)
    return Baseline(baseline.rows, features, frozenset(OPTIONAL))


def _lumped(name: str, seen: TextSample) -> dict[str, int]:
    if name != "location":
        return dict(seen.counts)
    learned = {place: count for place, count in seen.counts.items() if count >= LEARNED_LISTINGS}
    return {**learned, OTHER_LOCATION: seen.present - sum(learned.values())}
