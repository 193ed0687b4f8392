"""Two-sample tests on counts. Each takes cells of two samples and gives a p-value for "both come from one population".

Working on counts instead of rows makes them the same for a file and for a binned reference, and a million rows cost
what their distinct values cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from homeprices.drift.sample import Floats


def kolmogorov_smirnov(reference: Floats, current: Floats) -> float:
    """The asymptotic p-value of the largest distance between the two distribution functions.

    With few distinct values it is above the exact one, so it alarms less often than it says. Source: Kolmogorov's
    limit; `scipy.stats.ks_2samp(method="asymp")` is its finite-size refinement.
    """
    m, n = reference.sum(), current.sum()
    distance = float(np.max(np.abs(np.cumsum(reference) / m - np.cumsum(current) / n)))
    return float(stats.kstwobign.sf(distance * np.sqrt(m * n / (m + n))))


def mann_whitney(reference: Floats, current: Floats) -> float:
    """The two-sided p-value of the rank sum, normal approximation with the variance corrected for ties.

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
    """The likelihood-ratio test that two rows of counts have the same shares, with Williams' correction.

    Source: Sokal and Rohlf, Biometry, 4th edition, 17.4; without the correction it alarms too often where cells
    hold five or ten. Cells should hold about five of each sample (`cells.without_rare`).
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
    """For each word the two-sided binomial p-value that its share is the same in both samples of these many rows.

    Of the rows that have the word, each is one of the current sample with probability n / (m + n). That is exact for
    a rare word, also for one that only one sample has, and too careful for a common one.
    """
    fewer, more = _tails(reference, current, rows)
    p_values: Floats = np.minimum(1.0, 2 * np.minimum(fewer, more))
    return p_values


def excess_tests(at_most: Floats, current: Floats, rows: tuple[float, float]) -> Floats:
    """The same for words of which the reference had `at_most` so many: they can be shown to be more frequent only."""
    p_values: Floats = np.minimum(1.0, 2 * _tails(at_most, current, rows)[1])
    return p_values


def _tails(reference: Floats, current: Floats, rows: tuple[float, float]) -> tuple[Floats, Floats]:
    both, chance = reference + current, rows[1] / sum(rows)
    return stats.binom.cdf(current, both, chance), stats.binom.sf(current - 1, both, chance)


def count_test(reference: int, reference_rows: int, current: int, current_rows: int) -> float:
    """The same for one kind of row: `current` of `current_rows` beside `reference` of `reference_rows`."""
    if reference + current > (reference_rows + current_rows) / 2:  # the binomial is exact for the rarer side
        reference, current = reference_rows - reference, current_rows - current
    chance = current_rows / (reference_rows + current_rows)
    both = reference + current
    tails = stats.binom.cdf(current, both, chance), stats.binom.sf(current - 1, both, chance)
    return float(min(1.0, 2 * min(tails)))


def simes(p_values: Sequence[float]) -> float:
    """One p-value for "none of these": the least of m p(j) / j over the sorted p-values; 1 without any.

    Source: Simes 1986, An improved Bonferroni procedure; it holds for independent tests and for those that tend to
    agree (Sarkar 1998), as tests of one feature do.
    """
    ordered = sorted(p_values)
    return min([1.0, *(len(ordered) * p / (j + 1) for j, p in enumerate(ordered))])


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values adjusted so that comparing each with alpha gives any false alarm with probability alpha at most.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for position, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        highest = max(highest, min(1.0, p_values[name] * (len(p_values) - position)))
        adjusted[name] = highest
    return adjusted
