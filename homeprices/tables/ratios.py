"""Count the rows of a table with an impossible ratio of two columns, of those in `quantities.RATIOS`.

A median does not reveal a fifth of the prices in another unit. A single such row is no reason to refuse the table or
the row, because cleaning never judges a home by its price. A share of them means that a column holds two units. Without
a price, the other ratios still reveal another unit of the area. Serving imports this module, so it has no pandas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from homeprices.tables.cells import number
from homeprices.tables.quantities import EXCHANGED, MEASURED, SCALED
from homeprices.tables.quantities import RATIOS as _RATIOS

MIN_ROWS = 3
"""Fewer rows outside are typing errors in a table of any length."""

CHANCE = 0.001
"""The highest probability that a table is refused whose rows are as often outside as those of the public listings."""

ROWS_SHOWN = 3
_ODD_HELD = 10_000  # rows outside their range that determine the likely cause

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, Floats]
"""Numbers by the name of the input, or `price`; NaN is missing. A table need not have all of them."""


@dataclass(frozen=True)
class Ratio:
    """A ratio of two columns, the range in which it is possible, and how a row's is written."""

    column: str
    by: str
    what: str
    low: float
    high: float
    usual: float
    """The share of the public listings that lie outside."""
    shown: str
    scale: float = 1

    def is_in(self, columns: Columns) -> bool:
        """Whether a table has both columns."""
        return self.column in columns and self.by in columns

    def of(self, columns: Columns) -> Floats:
        """The ratio of each row."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = columns[self.column] * self.scale / columns[self.by]
        return found

    def is_outside(self, columns: Columns) -> npt.NDArray[np.bool_]:
        """Whether the ratio of each row is impossible; one that is not known is not."""
        values = self.of(columns)
        outside: npt.NDArray[np.bool_] = (values < self.low) | (values > self.high)
        return outside


@dataclass(frozen=True)
class Limit:
    """When a table is refused: the highest share of rows outside, and the smallest table that is refused.

    `explained`: only if a cause explains most of these rows.
    """

    share: float
    least: int = 0
    explained: bool = False


OF_LISTINGS = Limit(0.01)
"""More than twice what single errors make of the public listings (`Ratio.usual`), and far below the share of a second
unit: a fifth to a third of the rows in the files that had one.
"""

OF_HOMES = Limit(0.15, 30, explained=True)
"""Homes to price or to compare need not be for sale: visitors also request prices of homes that do not exist, and
the answer to each says what is unusual. So they are refused only for what another unit explains. A few may be alike.
"""

RATIOS = tuple(Ratio(*members) for members in _RATIOS)


@dataclass(frozen=True)
class Outside:
    """The rows of a table outside a ratio's range: how many, of how many, which are first, and the likely cause."""

    ratio: Ratio
    rows: int
    judged: int
    first: tuple[str, ...]
    cause: str
    """'' when no cause explains most of the rows."""
    limit: Limit = OF_LISTINGS

    @property
    def share(self) -> float:
        """Rows outside as a share of the rows that have both columns."""
        return self.rows / self.judged

    @property
    def too_many(self) -> bool:
        """Whether a table with so many rows outside is refused."""
        if self.judged < self.limit.least or (self.limit.explained and not self.cause):
            return False
        return self.share > self.limit.share and self.rows >= _not_by_chance(self.judged, self.ratio.usual)

    def sentence(self) -> str:
        """For example `0.15% of 9,501 rows (14) have under 500 or over 100,000 rupees a square foot ...`."""
        ratio, more = self.ratio, f" and {self.rows - len(self.first):,} more" if self.rows > len(self.first) else ""
        limit = ", too many for single errors" if self.too_many else ""
        # With few rows, a common cause is unlikely: they are separate errors.
        cause = f". Likely {self.cause}" if self.cause and self.too_many else ""
        return (
            f"{self.share:.2%} of {self.judged:,} rows ({self.rows:,}) have under {ratio.low:g} or over "
            f"{ratio.high:,g} {ratio.what}{limit}{cause}. First: {'; '.join(self.first)}{more}"
        )


def refusals(found: Iterable[Outside]) -> dict[str, str]:
    """A sentence for each column for which a table is refused; empty for a table that is taken."""
    return {one.ratio.column: one.sentence() for one in found if one.too_many}


@lru_cache(maxsize=256)
def _not_by_chance(judged: int, usual: float) -> int:
    """The fewest rows outside that are more than chance makes of so many rows (Poisson)."""
    if judged * usual > 100:  # the share that is refused is more
        return MIN_ROWS
    expected, count, left = judged * usual, 0, 1.0
    probability = math.exp(-expected)
    while left > CHANCE:
        left -= probability
        count += 1
        probability *= expected / count
    return max(count, MIN_ROWS)


class RatioCounts:
    """Counts the rows of a table outside each ratio's range, block by block, in memory that does not grow with it."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._judged = [0] * len(RATIOS)
        self._rows = [0] * len(RATIOS)
        self._first: list[list[str]] = [[] for _ in RATIOS]
        self._odd: list[dict[str, Floats]] = []
        self._held = 0
        self._usual: float | None = None

    def add(self, columns: Columns, lines: Sequence[int]) -> None:
        """Count the rows of a block, of which each begins in its line."""
        odd = np.zeros(len(lines), dtype=bool)
        for place, ratio in enumerate(RATIOS):
            if not ratio.is_in(columns):
                continue
            bad = ratio.is_outside(columns)
            self._judged[place] += int(np.isfinite(ratio.of(columns)).sum())
            self._rows[place] += int(bad.sum())
            odd |= bad
            for row in np.flatnonzero(bad)[: ROWS_SHOWN - len(self._first[place])].tolist():
                shown = ratio.shown.format_map({name: values[row] for name, values in columns.items()})
                self._first[place].append(f"line {lines[row]}: {shown}")
        if self._usual is None and not odd.all():
            self._usual = _middle(_chosen(columns, ~odd))
        if odd.any() and self._held < _ODD_HELD:
            self._odd.append(_chosen(columns, odd))
            self._held += int(odd.sum())

    def outside(self) -> tuple[Outside, ...]:
        """Each ratio that some rows have outside its range."""
        cause = _likely_cause(self._odd, self._usual) if self._odd else ""
        return tuple(
            Outside(ratio, rows, judged, tuple(first), cause, self._limit)
            for ratio, rows, judged, first in zip(RATIOS, self._rows, self._judged, self._first, strict=True)
            if rows
        )


_NUMBERS = frozenset({int, float, Decimal})
_LARGEST = 10**15  # more is no area, and an integer of hundreds of digits is no float


def measure(cell: Any) -> float:
    """A cell of a table of homes as a number to judge the table by; NaN for what is no number above zero."""
    if type(cell) is str:
        cell = number(cell)
    return float(cell) if type(cell) in _NUMBERS and 0 < cell < _LARGEST else math.nan


def measure_ratios(columns: Columns, lines: Sequence[int], limit: Limit = OF_LISTINGS) -> tuple[Outside, ...]:
    """Each ratio that some rows of a whole table have outside its range. The rows are parsed, not yet cleaned."""
    counts = RatioCounts(limit)
    counts.add(columns, lines)
    return counts.outside()


def _chosen(columns: Columns, rows: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    return {name: values[rows] for name, values in columns.items()}


def _scaled(name: str, factor: float) -> Callable[[Columns], dict[str, Floats]]:
    return lambda columns: {**columns, name: columns[name] * factor}


def _exchanged(one: str, other: str) -> Callable[[Columns], dict[str, Floats]]:
    return lambda columns: {**columns, one: columns[other], other: columns[one]}


CAUSES: tuple[tuple[str, Collection[str], Callable[[Columns], dict[str, Floats]]], ...] = (
    *((cause, {column}, _scaled(column, factor)) for cause, column, factor in SCALED),
    *((f"the columns {one} and {other} exchanged", {one, other}, _exchanged(one, other)) for one, other in EXCHANGED),
)
"""What people get wrong, the columns that it takes, and what makes it right again."""

EXPLAINED = 0.6
"""The share of the rows outside that a cause must explain to be named."""


def _likely_cause(held: Sequence[Columns], usual: float | None) -> str:
    """The error that, once corrected, makes most of the rows outside resemble the others; '' when there is none."""
    odd = {name: np.concatenate([block[name] for block in held]) for name in held[0]}
    known = np.ones(len(next(iter(odd.values()))), dtype=bool)
    for name in ("price", *MEASURED):
        known &= ~np.isnan(odd.get(name, np.zeros(len(known))))
    odd = _chosen(odd, known)
    scores: dict[str, float] = {}
    for cause, columns, repair in CAUSES:
        if not odd.keys() >= {*columns}:
            continue
        repaired = repair(odd)
        inside = _is_inside(repaired)
        if len(inside) and inside.mean() >= EXPLAINED:
            # A wrong cause can lie inside as well, at the edge: the nearer to the other rows, the likelier.
            distance = abs(_middle(_chosen(repaired, inside)) - (_default(odd) if usual is None else usual))
            scores[cause] = float(inside.mean()) - distance / 10
    return max(scores, key=lambda cause: scores[cause]) if scores else ""


def _is_inside(columns: Columns) -> npt.NDArray[np.bool_]:
    """Whether all ratios of each row are known and possible."""
    inside = np.ones(len(next(iter(columns.values()))), dtype=bool)
    for ratio in RATIOS:
        if ratio.is_in(columns):
            inside &= np.isfinite(ratio.of(columns)) & ~ratio.is_outside(columns)
    return inside


_USUAL_RATE, _USUAL_AREA = 5_500.0, 550.0  # rupees a square foot, square feet a bedroom: when no row is inside


def _default(columns: Columns) -> float:
    return math.log(_USUAL_RATE if "price" in columns else _USUAL_AREA)


def _middle(columns: Columns) -> float:
    """The logarithm of the median of rupees a square foot, or without a price of square feet a bedroom."""
    ratio = RATIOS[0] if "price" in columns else RATIOS[1]
    values = ratio.of(columns) if ratio.is_in(columns) else np.array([])
    values = values[np.isfinite(values)]
    middle = float(np.median(values)) if len(values) else 0.0
    return math.log(middle) if middle > 0 else _default(columns)
