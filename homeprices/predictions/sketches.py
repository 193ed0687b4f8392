"""Mergeable sketches: the number of distinct visitors (PCSA), and quantiles of latency (DDSketch).

Distinct count: probabilistic counting with stochastic averaging (Flajolet and Martin 1985). A visitor's hash chooses a
register and sets one bit in it, bit k with probability 2^-(k+1). The sketch of a union is the OR of the sketches, so
PostgreSQL merges the hours of a month with `bit_or`.

Latency: bucket k counts the durations between gamma^k and gamma^(k+1) milliseconds. Masson, Rim, Lee 2019 (VLDB 12:12),
proposition 3: the value returned for a bucket is off by at most 5 %, whatever the distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

REGISTERS = 512
"""Standard error 0.78 / sqrt(512) = 3.4 %; one of up to about a thousand visitors is smaller."""

REGISTER_BITS = 32
SKETCH_BITS = REGISTERS * REGISTER_BITS
_REGISTER_DIGITS = 9  # 2^9 registers
_PHI = 0.77351  # Flajolet and Martin 1985, theorem 3.A
_KAPPA = 1.75  # Scheuermann and Mauve 2007: removes the bias at few visitors per register
_FEWEST_EMPTY = 0.1
"""Above this share of empty registers, linear counting (Whang et al. 1990) is more accurate."""


def sketch_sql(column: str) -> str:
    """Return an SQL aggregate: the sketch of a text column's non-null values; null if there are none."""
    hashed = f"hashtextextended({column}, 0)"
    rest = f"(({hashed} >> {_REGISTER_DIGITS}) & ((1::bigint << 53) - 1))"
    lowest = f"round(ln(({rest} & -{rest})::double precision) / ln(2.0))::integer"
    bit = f"least({REGISTER_BITS - 1}, CASE WHEN {rest} = 0 THEN {REGISTER_BITS - 1} ELSE {lowest} END)"
    position = f"({hashed} & {REGISTERS - 1})::integer * {REGISTER_BITS} + {bit}"
    return f"bit_or(set_bit({EMPTY_SQL}, {position}, 1)) FILTER (WHERE {column} IS NOT NULL)"


EMPTY_SQL = f"B'0'::bit({SKETCH_BITS})"


def distinct_count(sketch: str) -> int:
    """Return the number of distinct values in a sketch, a text of `SKETCH_BITS` digits 0 and 1."""
    registers = [sketch[start : start + REGISTER_BITS] for start in range(0, SKETCH_BITS, REGISTER_BITS)]
    empty = sum("1" not in register for register in registers)
    if empty > _FEWEST_EMPTY * REGISTERS:
        return round(REGISTERS * math.log(REGISTERS / empty))
    ones = sum((register + "0").index("0") for register in registers) / REGISTERS
    return round(REGISTERS / _PHI * (2**ones - 2 ** (-_KAPPA * ones)))


ACCURACY = 0.05
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
SMALLEST_MILLISECONDS, LARGEST_MILLISECONDS = 0.001, 1e7


def bucket_sql(column: str) -> str:
    """Return an SQL expression: the bucket of a column of milliseconds."""
    bounded = f"least(greatest({column}, {SMALLEST_MILLISECONDS}), {LARGEST_MILLISECONDS})"
    return f"floor(ln({bounded}) / ln({GAMMA!r}))::smallint"


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the quantile `share` in milliseconds, from the counts by bucket; None without requests."""
    target = share * sum(counts.values())
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= target:
            return float(2 * GAMMA ** (bucket + 1) / (GAMMA + 1))
    return None
