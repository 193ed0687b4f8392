"""Count the rows of a table with an impossible price per square foot, area per bedroom or baths per bedroom.

A median does not reveal a fifth of the prices in rupees. A single such row is no reason to reject the table or the row,
because cleaning never judges a home by its price. A share of them means that a column holds two units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from homeprices.pricing.plausibility import AREA_A_BEDROOM, BATHS_A_BEDROOM

RUPEES_A_LAKH = 100_000

MAX_SHARE = 0.01
"""The highest share of rows outside a range. Of the public listings 0.15 % lie outside by rupees a square foot, 0.4 %
by square feet a bedroom and none by baths a bedroom. So 1 % is more than twice what single errors make of a table, and
far below the share of a second unit: a fifth to a third of the rows in the files that had one.
"""

MIN_ROWS = 3
"""Fewer rows outside are typing errors in a table of any length."""

ROWS_SHOWN = 3

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """A ratio of two columns, the range in which it is possible, and how a row's is written."""

    column: str
    what: str
    low: float
    high: float
    of: Callable[[pd.DataFrame], pd.Series]
    shown: Callable[[pd.Series], str]


def _price_shown(row: pd.Series) -> str:
    return f"{row['price']:,.12g} lakh for {row['total_sqft']:,.12g} square feet"


def _area_shown(row: pd.Series) -> str:
    return f"{row['total_sqft']:,.12g} square feet with {row['bhk']:g} bedrooms"


def _baths_shown(row: pd.Series) -> str:
    return f"{row['bath']:,.12g} baths with {row['bhk']:g} bedrooms"


RATIOS = (
    Ratio("price", "rupees a square foot", 500, 100_000,
          lambda rows: rows["price"] * RUPEES_A_LAKH / rows["total_sqft"], _price_shown),
    Ratio("total_sqft", "square feet a bedroom", *AREA_A_BEDROOM, lambda rows: rows["total_sqft"] / rows["bhk"],
          _area_shown),
    Ratio("bath", "baths a bedroom", *BATHS_A_BEDROOM, lambda rows: rows["bath"] / rows["bhk"], _baths_shown),
)  # fmt: skip


@dataclass(frozen=True)
class Outside:
    """The rows of a table outside a ratio's range: how many, of how many, which are first, and the likely cause."""

    ratio: Ratio
    rows: int
    judged: int
    first: tuple[str, ...]
    cause: str
    """'' when no cause explains most of the rows."""

    @property
    def share(self) -> float:
        """Rows outside as a share of the rows that have both columns."""
        return self.rows / self.judged

    @property
    def too_many(self) -> bool:
        """Whether a table with so many rows outside is refused."""
        return self.rows >= MIN_ROWS and self.share > MAX_SHARE

    def sentence(self) -> str:
        """For example `0.15% of 9,501 rows (14) have under 500 or over 100,000 rupees a square foot ...`."""
        ratio, more = self.ratio, f" and {self.rows - len(self.first):,} more" if self.rows > len(self.first) else ""
        limit = f"; at most {MAX_SHARE:.0%} may" if self.too_many else ""
        # With few rows, a common cause is unlikely: they are separate errors.
        cause = f". Likely {self.cause}" if self.cause and self.too_many else ""
        return (
            f"{self.share:.2%} of {self.judged:,} rows ({self.rows:,}) have under {ratio.low:g} or over "
            f"{ratio.high:,g} {ratio.what}{limit}{cause}. First: {'; '.join(self.first)}{more}"
        )


def measure_ratios(rows: pd.DataFrame) -> tuple[Outside, ...]:
    """Each ratio that some rows of a table have outside its range. `rows` are parsed, not yet cleaned: NaN is missing.

    The rows are indexed by line.
    """
    found, outside = [], np.zeros(len(rows), dtype=bool)
    for ratio in RATIOS:
        values = ratio.of(rows).to_numpy(float)
        bad = (values < ratio.low) | (values > ratio.high)
        if bad.any():
            found.append((ratio, bad, int(np.isfinite(values).sum())))
            outside |= bad
    cause = _likely_cause(rows, outside) if found else ""
    return tuple(
        Outside(ratio, int(bad.sum()), judged, _first(ratio, rows[bad]), cause) for ratio, bad, judged in found
    )


def _first(ratio: Ratio, rows: pd.DataFrame) -> tuple[str, ...]:
    return tuple(f"line {line}: {ratio.shown(row)}" for line, row in rows.head(ROWS_SHOWN).iterrows())


def _scaled(name: str, factor: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: rows.assign(**{name: rows[name] * factor})


def _exchanged(one: str, other: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: rows.assign(**{one: rows[other], other: rows[one]})


CAUSES = (
    ("prices in crore, not in lakh rupees", _scaled("price", 100)),
    ("prices in rupees, not in lakh rupees", _scaled("price", 1 / RUPEES_A_LAKH)),
    ("prices in thousand rupees, not in lakh", _scaled("price", 0.01)),
    ("areas in square metres or square yards, not in square feet", _scaled("total_sqft", 10)),
    ("the columns price and total_sqft exchanged", _exchanged("price", "total_sqft")),
    ("the columns price and bath exchanged", _exchanged("price", "bath")),
    ("the columns price and balcony exchanged", _exchanged("price", "balcony")),
    ("the columns total_sqft and bath exchanged", _exchanged("total_sqft", "bath")),
)
"""What people get wrong, and what makes it right again."""

EXPLAINED = 0.6
"""The share of the rows outside that a cause must explain to be named."""


def _likely_cause(rows: pd.DataFrame, outside: npt.NDArray[np.bool_]) -> str:
    """The error that, once corrected, makes most of the rows outside resemble the others; '' when there is none."""
    usual = _log_rate(rows[~outside])
    odd = rows[outside].dropna(subset=["price", "total_sqft", "bhk", "bath"])
    scores: dict[str, float] = {}
    for cause, repair in CAUSES:
        repaired = repair(odd)
        values = [(ratio, ratio.of(repaired)) for ratio in RATIOS]
        inside = np.logical_and.reduce([(ratio.low <= found) & (found <= ratio.high) for ratio, found in values])
        if len(odd) and inside.mean() >= EXPLAINED:
            # A wrong cause can lie inside as well, at the edge: the nearer to the other rows, the likelier.
            scores[cause] = float(inside.mean()) - abs(_log_rate(repaired[inside]) - usual) / 10
    return max(scores, key=lambda cause: scores[cause]) if scores else ""


_USUAL_RATE = 5_500.0  # rupees a square foot, when no row is inside


def _log_rate(rows: pd.DataFrame) -> float:
    """The logarithm of the median of rupees a square foot."""
    rate = (rows["price"] * RUPEES_A_LAKH / rows["total_sqft"]).median()
    return math.log(rate) if rate > 0 else math.log(_USUAL_RATE)
