"""Two-sample tests on counts. Each returns the p-value of "both samples come from one population" from their cells.

Because they work on counts, they are the same for a file and for a binned reference, and their cost depends on the
distinct values, not on the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from homeprices.drift.samples import Floats, NumberSample, TextSample
from homeprices.pricing.manifest import NumberReference, TextReference


def kolmogorov_smirnov(reference: Floats, current: Floats) -> float:
    """Return the asymptotic p-value of the largest distance between the two distribution functions.

    With few distinct values it is above the exact one, so its false alarm rate is below the nominal one. Source:
    Kolmogorov's limit; `scipy.stats.ks_2samp(method="asymp")` is its finite-size refinement.
    """
    m, n = reference.sum(), current.sum()
    distance = float(np.max(np.abs(np.cumsum(reference) / m - np.cumsum(current) / n)))
    return float(stats.kstwobign.sf(distance * np.sqrt(m * n / (m + n))))


def mann_whitney(reference: Floats, current: Floats) -> float:
    """Return the two-sided p-value of the rank sum, normal approximation with the variance corrected for ties.

    Source: Mann and Whitney 1947; the tie correction as in `scipy.stats.mannwhitneyu`.
    """
    m, n = reference.sum(), current.sum()
    ties, total = reference + current, m + n
    below = np.cumsum(reference) - reference
    u = float(np.sum(current * (below + reference / 2)))
    variance = m * n / 12 * (total + 1 - float(np.sum(ties**3 - ties)) / (total * (total - 1)))
    if variance <= 0:  # one single value
        return 1.0
    return float(2 * stats.norm.sf(abs(u - m * n / 2) / np.sqrt(variance)))


def g_test(reference: Floats, current: Floats) -> float:
    """Return the p-value of the likelihood-ratio test that two rows of counts have equal shares (Williams' correction).

    Source: Sokal and Rohlf, Biometry, 4th edition, 17.4; without the correction, its false alarm rate is too high for
    cells with five or ten. Cells should hold at least about five of each sample (`merge_rare_cells`).
    """
    table = np.vstack([reference, current])
    table = table[:, table.sum(axis=0) > 0]
    degrees = table.shape[1] - 1
    if degrees == 0:
        return 1.0
    total, rows, columns = table.sum(), table.sum(axis=1), table.sum(axis=0)
    expected = np.outer(rows, columns) / total
    g = 2 * float(np.sum(table * np.log(np.where(table > 0, table, 1) / expected)))
    williams = 1 + (total * np.sum(1 / rows) - 1) * (total * np.sum(1 / columns) - 1) / (6 * total * degrees)
    return float(stats.chi2.sf(g / williams, degrees))


def share_tests(reference: Floats, current: Floats, rows: tuple[float, float]) -> Floats:
    """Return for each category the two-sided binomial p-value that its share is the same in both samples.

    `rows` are the sizes m and n of the samples. Given the rows that have the category, each belongs to the current
    sample with probability n / (m + n). The test is exact for a rare category, even if only one sample has it, and
    conservative for a common one.
    """
    fewer, more = _tails(reference, current, rows)
    p_values: Floats = np.minimum(1.0, 2 * np.minimum(fewer, more))
    return p_values


def excess_tests(at_most: Floats, current: Floats, rows: tuple[float, float]) -> Floats:
    """Return p-values as `share_tests` does, for categories with at most `at_most` rows in the reference.

    Only an increase can be shown.
    """
    p_values: Floats = np.minimum(1.0, 2 * _tails(at_most, current, rows)[1])
    return p_values


def _tails(reference: Floats, current: Floats, rows: tuple[float, float]) -> tuple[Floats, Floats]:
    both, chance = reference + current, rows[1] / sum(rows)
    return stats.binom.cdf(current, both, chance), stats.binom.sf(current - 1, both, chance)


def count_test(reference: int, reference_rows: int, current: int, current_rows: int) -> float:
    """Return the p-value of one category: `current` of `current_rows` against `reference` of `reference_rows`."""
    if reference + current > (reference_rows + current_rows) / 2:  # the binomial is exact for the rarer side
        reference, current = reference_rows - reference, current_rows - current
    chance = current_rows / (reference_rows + current_rows)
    both = reference + current
    tails = stats.binom.cdf(current, both, chance), stats.binom.sf(current - 1, both, chance)
    return float(min(1.0, 2 * min(tails)))


def simes(p_values: Sequence[float]) -> float:
    """Return the combined p-value of "no hypothesis is false": the minimum of m p(j) / j over sorted p-values; 1 for
    none.

    Source: Simes 1986, An improved Bonferroni procedure; it holds for independent tests and for those that tend to
    agree (Sarkar 1998), as tests of one feature do.
    """
    ordered = sorted(p_values)
    return min([1.0, *(len(ordered) * p / (j + 1) for j, p in enumerate(ordered))])


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return adjusted p-values: comparing each with alpha has a familywise error rate of at most alpha.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for position, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        highest = max(highest, min(1.0, p_values[name] * (len(p_values) - position)))
        adjusted[name] = highest
    return adjusted


# Effect sizes: with enough rows any difference is significant, so a p-value alone does not show how large it is.


HALF = 0.5
"""Added to each count, so that an empty cell has a logarithm (Jeffreys' prior)."""


def wasserstein(reference: Floats | None, current: Floats) -> float | None:
    """Return the Wasserstein distance in standard deviations, from the percentiles of both samples.

    Both are computed on the middle 98 %, because a single listing of a million square feet would dominate the standard
    deviation. None for an old bundle, whose reference has no percentiles. If the reference is constant, the standard
    deviation is that of both samples together.
    """
    if reference is None:
        return None
    distance = float(np.mean(np.abs(reference - current)))
    if distance == 0:
        return 0.0
    return distance / float(np.std(reference) or np.std(np.concatenate([reference, current])))


def stability_index(reference: Floats, current: Floats) -> float:
    """Return the population stability index: sum of (q - p) ln(q / p) over the cells. 0 for equal shares.

    Source: Yurdakul 2018, Statistical Properties of the Population Stability Index.
    """
    p, q = _shares(reference), _shares(current)
    return float(np.sum((q - p) * np.log(q / p)))


def beyond_chance(reference: Floats, current: Floats) -> float:
    """Return the stability index less its mean by chance: about 0 without drift, at every sample size."""
    return stability_index(reference, current) - index_by_chance(reference, current)


def index_by_chance(reference: Floats, current: Floats) -> float:
    """Return the mean of the stability index without drift: (cells - 1) (1/m + 1/n). Source: as `stability_index`."""
    return (len(reference) - 1) * (1 / float(reference.sum()) + 1 / float(current.sum()))


def jensen_shannon(reference: Floats, current: Floats) -> float:
    """Return the Jensen-Shannon distance to base 2: 0 for equal shares, 1 for disjoint samples."""
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    divergence = (_divergence(p, middle) + _divergence(q, middle)) / 2
    return float(np.sqrt(max(0.0, divergence)))


def _divergence(p: Floats, q: Floats) -> float:
    held = p > 0
    return float(np.sum(p[held] * np.log2(p[held] / q[held])))


def _shares(counts: Floats) -> Floats:
    smoothed = counts + HALF
    shares: Floats = smoothed / smoothed.sum()
    return shares


# Histograms of two samples on one scale.


LEAST_EXPECTED = 5.0
"""Minimum expected count per cell, so that the chi-square approximation of the G-test holds (Cochran's rule)."""

GROUPS = 10
"""Number of bins of the population stability index; by its usual definition, the deciles of the reference."""


@dataclass(frozen=True, eq=False)
class NumericHistogram:
    """Counts of two samples over the same cells, in rising order of value."""

    reference: Floats
    current: Floats


@dataclass(frozen=True, eq=False)
class CategoryHistogram:
    """Counts of two samples by category, in falling order of their sum."""

    names: tuple[str, ...]
    reference: Floats
    current: Floats


def numeric_histogram(reference: NumberReference | NumberSample, current: NumberSample) -> NumericHistogram:
    """Return one cell per distinct value or, if the reference is binned, per bin. Both samples must have a value."""
    if isinstance(reference, NumberReference):
        return _binned(reference, current)
    values = np.union1d(reference.values, current.values)
    return NumericHistogram(_counts_at(values, reference), _counts_at(values, current))


def category_histogram(reference: TextReference | TextSample, current: TextSample) -> CategoryHistogram:
    """Return one cell per category of either sample."""
    both = {name: reference.counts.get(name, 0) + current.counts.get(name, 0) for name in reference.counts}
    both |= {name: count for name, count in current.counts.items() if name not in both}
    names = tuple(sorted(both, key=lambda name: (-both[name], name)))
    return CategoryHistogram(
        names,
        np.array([reference.counts.get(name, 0) for name in names], dtype=np.float64),
        np.array([current.counts.get(name, 0) for name in names], dtype=np.float64),
    )


def merge_rare_cells(reference: Floats, current: Floats) -> tuple[Floats, Floats]:
    """Merge the cells with fewer than five expected in either sample into one.

    Both samples together decide which cells are rare. The reference alone would select cells that chance made rare in
    it, and the other sample would then differ without any drift (regression to the mean).
    """
    both = reference + current
    kept = both * min(reference.sum(), current.sum()) / both.sum() >= LEAST_EXPECTED
    if kept.all():
        return reference, current
    return (
        np.append(reference[kept], reference[~kept].sum()),
        np.append(current[kept], current[~kept].sum()),
    )


def grouped(cells: NumericHistogram) -> tuple[Floats, Floats]:
    """(reference, current) counts in at most ten groups with about equal counts of the reference."""
    before = np.cumsum(cells.reference) - cells.reference
    group = np.minimum((before * GROUPS / cells.reference.sum()).astype(int), GROUPS - 1)
    reference, current = binned(group, cells.reference, GROUPS), binned(group, cells.current, GROUPS)
    held = reference + current > 0
    return reference[held], current[held]


def binned(places: npt.NDArray[np.int64], counts: Floats, bins: int) -> Floats:
    """The sum of the counts in each of `bins` bins."""
    return np.bincount(places, counts, minlength=bins).astype(np.float64)


def _counts_at(values: Floats, sample: NumberSample) -> Floats:
    counts = np.zeros(len(values))
    counts[np.searchsorted(values, sample.values)] = sample.counts
    return counts


def _binned(reference: NumberReference, current: NumberSample) -> NumericHistogram:
    """Return counts by bin; values beyond the outer edges count in the outer bins.

    Values are rounded to float32 as the edges are; otherwise a value could fall on the wrong side of its edge.
    """
    bins = len(reference.counts)
    values = current.values.astype(np.float32).astype(np.float64)
    places = np.clip(np.searchsorted(np.array(reference.edges), values, side="right") - 1, 0, bins - 1)
    return NumericHistogram(np.array(reference.counts, dtype=np.float64), binned(places, current.counts, bins))
