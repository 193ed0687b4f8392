"""How many different visitors there were, from bits that can be put together: hours to days, days to a month.

Probabilistic counting with stochastic averaging (Flajolet and Martin 1985): a visitor's hash chooses a register and
sets one bit in it, bit k with probability 2^-(k+1). The sketch of a union is the OR of the sketches, which PostgreSQL
has for bit strings (`bit_or`), so that a month of hours is put together where it lies.
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
_KAPPA = 1.75  # Scheuermann and Mauve 2007: takes away the bias at few visitors a register
_FEWEST_EMPTY = 0.1
"""Above this share of empty registers their number says more than the bits do (linear counting, Whang et al. 1990)."""


def sketch_sql(column: str) -> str:
    """An SQL aggregate: the sketch of a text column's values, nulls left out; null when there is none."""
    hashed = f"hashtextextended({column}, 0)"
    rest = f"(({hashed} >> {_REGISTER_DIGITS}) & ((1::bigint << 53) - 1))"
    lowest = f"round(ln(({rest} & -{rest})::double precision) / ln(2.0))::integer"
    bit = f"least({REGISTER_BITS - 1}, CASE WHEN {rest} = 0 THEN {REGISTER_BITS - 1} ELSE {lowest} END)"
    place = f"({hashed} & {REGISTERS - 1})::integer * {REGISTER_BITS} + {bit}"
    return f"bit_or(set_bit({EMPTY_SQL}, {place}, 1)) FILTER (WHERE {column} IS NOT NULL)"


EMPTY_SQL = f"B'0'::bit({SKETCH_BITS})"


def distinct_count(sketch: str) -> int:
    """The number of different values in a sketch, given as PostgreSQL writes it: `SKETCH_BITS` digits 0 and 1."""
    registers = [sketch[start : start + REGISTER_BITS] for start in range(0, SKETCH_BITS, REGISTER_BITS)]
    empty = sum("1" not in register for register in registers)
    if empty > _FEWEST_EMPTY * REGISTERS:
        return round(REGISTERS * math.log(REGISTERS / empty))
    ones = sum((register + "0").index("0") for register in registers) / REGISTERS
    return round(REGISTERS / _PHI * (2**ones - 2 ** (-_KAPPA * ones)))


# Durations as counts of ranges, so that the quantiles of any hours can be had from the hours' counts (DDSketch).
#
# Range k holds the milliseconds between gamma^k and gamma^(k+1). Masson, Rim, Lee 2019 (VLDB 12:12), proposition 3: the
# value that is given for a range is off by at most 5 %, whatever the distribution.


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
