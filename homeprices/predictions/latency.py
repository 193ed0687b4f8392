"""Durations as counts of ranges, so that the quantiles of any hours can be had from the hours' counts (DDSketch).

Range k holds the milliseconds between gamma^k and gamma^(k+1). Masson, Rim, Lee 2019 (VLDB 12:12), proposition 3: the
value that is given for a range is off by at most 5 %, whatever the distribution.
"""

from __future__ import annotations

from collections.abc import Mapping

ACCURACY = 0.05
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
SMALLEST_MILLISECONDS, LARGEST_MILLISECONDS = 0.001, 1e7


def bucket_sql(column: str) -> str:
    """An SQL expression: the number of the range that a column of milliseconds falls into."""
    bounded = f"least(greatest({column}, {SMALLEST_MILLISECONDS}), {LARGEST_MILLISECONDS})"
    return f"floor(ln({bounded}) / ln({GAMMA!r}))::smallint"


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """The milliseconds below which `share` of the requests were, from their number a range; None without any."""
    wanted = share * sum(counts.values())
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= wanted:
            return float(2 * GAMMA ** (bucket + 1) / (GAMMA + 1))
    return None
