"""Compares two bundles on homes without a known price: how far their estimates are apart, and where.

`bundles.py` compares errors, for which prices must be known. This comparison needs the homes only, so it can be made of
what visitors ask. It takes the homes in pieces and keeps a few numbers of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from homeprices.foreign_text import printable
from homeprices.pricing.features import OTHER_LOCATION
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import COUNTS, INPUT
from homeprices.pricing.predictor import Estimate, PriceModel
from homeprices.words import GROUPS, SHORT_PRICE_UNIT

FARTHEST = 10
"""The homes that are kept as examples."""

MOST_COUNTED = 5
"""Homes with at least so many are one group."""

Numbers = npt.NDArray[np.float64]
Chosen = npt.NDArray[np.bool_]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Apart(_Frozen):
    """How far two bundles are apart on some homes; a ratio is the second's value by the first's.

    `ratio` is the median ratio of the estimates. One home in a hundred differs by more than the factor `p99`, either
    way. `beyond` is the share of homes that differ by more than a given factor, with the `failed`, which only the
    first can price. `width` is the median ratio of the intervals' widths, as ln(high / low). None: no home was priced.
    """

    homes: int
    failed: int
    ratio: float | None
    p99: float | None
    beyond: float
    width: float | None


class Group(_Frozen):
    """The homes of one group: `by` is price (thirds of the first's estimates), size, or the place as the first knows
    it.
    """

    by: Literal["price", "size", "place"]
    name: str
    apart: Apart


class FarHome(_Frozen):
    """A home with its two estimates in lakh rupees; None: the second cannot price it."""

    inputs: dict[str, Any]
    first: float
    second: float | None

    @property
    def factor(self) -> float:
        """The larger estimate by the smaller; infinite without a second one."""
        return math.inf if self.second is None else math.exp(abs(math.log(self.second / self.first)))


class Disagreement(_Frozen):
    """Two bundles on the same homes, without those that the first cannot price.

    `groups` holds no place with fewer homes than were asked for; of one kind, those that moved most come first.
    `farthest` are different homes. `microseconds` is the CPU time of a call with one home, of the first and the second.
    """

    first: str
    homes: int
    overall: Apart | None
    groups: list[Group]
    farthest: list[FarHome]
    microseconds: tuple[float, float]


class DisagreementMeter:
    """Prices homes with two bundles and keeps what a `Disagreement` needs: under 50 bytes a home."""

    def __init__(self, first: PriceModel, second: PriceModel) -> None:
        self._first, self._second = first, second
        self._places: dict[str, int] = {}
        self._rows: list[Numbers] = []
        self._farthest: dict[Home, FarHome] = {}

    def add(self, homes: Sequence[Home]) -> None:
        """Price some more homes."""
        both = zip(homes, estimates(self._first, homes), estimates(self._second, homes), strict=True)
        priced = [(home, one, two) for home, one, two in both if one is not None]
        if not priced:
            return
        rows = np.array([self._row(*each) for each in priced])
        self._rows.append(rows)
        far: dict[Home, FarHome] = {}  # by home, because visitors repeat one
        for number in np.argsort(-np.abs(rows[:, _LOG_RATIO]), kind="stable").tolist():
            home, one, two = priced[number]
            far.setdefault(home, FarHome(inputs=_inputs(home), first=one.price, second=two and two.price))
            if len(far) == FARTHEST:
                break
        ordered = sorted((self._farthest | far).items(), key=lambda item: -item[1].factor)
        self._farthest = dict(ordered[:FARTHEST])

    def _row(self, home: Home, one: Estimate, two: Estimate | None) -> tuple[float, ...]:
        place = self._places.setdefault(one.location, len(self._places))
        ratio = math.inf if two is None else math.log(two.price / one.price)
        width = math.nan if two is None else _log_width(two) / _log_width(one)
        return one.price, ratio, width, _count(home), place

    def result(self, factor: float, place_homes: int) -> Disagreement:
        """Return the comparison of all homes so far: `beyond` of this factor, places from so many homes on."""
        rows = np.concatenate(self._rows) if self._rows else np.empty((0, _COLUMNS))
        groups = [
            Group(by=by, name=name, apart=_apart(rows[chosen], factor))
            for by, named in self._groups(rows, place_homes).items()
            for name, chosen in named.items()
            if chosen.any()
        ]
        return Disagreement(
            first=self._first.version,
            homes=len(rows),
            overall=_apart(rows, factor) if len(rows) else None,
            groups=groups,
            farthest=list(self._farthest.values()),
            microseconds=(1e6 * self._first.estimate_seconds(), 1e6 * self._second.estimate_seconds()),
        )

    def _groups(self, rows: Numbers, place_homes: int) -> dict[Literal["price", "size", "place"], dict[str, Chosen]]:
        if not len(rows):
            return {}
        prices, bedrooms, places = rows[:, _PRICE], rows[:, _COUNT], rows[:, _PLACE].astype(np.int64)
        low, high = np.quantile(prices, [1 / 3, 2 / 3])
        counts = np.bincount(places, minlength=len(self._places))
        named = {name: places == number for name, number in self._places.items() if counts[number] >= place_homes}
        return {
            "price": {
                f"up to {low:.0f} {SHORT_PRICE_UNIT}": prices <= low,
                f"{low:.0f} to {high:.0f} {SHORT_PRICE_UNIT}": (prices > low) & (prices <= high),
                f"above {high:.0f} {SHORT_PRICE_UNIT}": prices > high,
            },
            "size": {
                f"{INPUT[name].noun}: {n}{' and more' * (n == MOST_COUNTED)}": bedrooms == n
                for name in COUNTS[:1]
                for n in range(1, MOST_COUNTED + 1)
            },
            "place": {
                f"unknown {GROUPS}" if name == OTHER_LOCATION else name: named[name]
                for name in sorted(named, key=lambda name: (-_moved(rows[named[name]]), name))
            },
        }


_PRICE, _LOG_RATIO, _WIDTH, _COUNT, _PLACE = range(5)
_COLUMNS = 5


def _count(home: Home) -> int:
    """The first count of a home, at most `MOST_COUNTED`; 0 if homes have none."""
    return min(getattr(home, COUNTS[0]), MOST_COUNTED) if COUNTS else 0


def estimates(predictor: PriceModel, homes: Sequence[Home]) -> list[Estimate | None]:
    """Return an estimate for each home, in order; None for a home that the model cannot price."""
    try:
        return list(predictor.estimate(homes))
    except Exception:  # onnxruntime's errors have no common base class
        if len(homes) == 1:
            return [None]
        half = len(homes) // 2
        return estimates(predictor, homes[:half]) + estimates(predictor, homes[half:])


def _inputs(home: Home) -> dict[str, Any]:
    """Return the inputs of a home; texts are what a visitor wrote, so they are cut and escaped."""
    given = home.model_dump(exclude_none=True)
    return {name: printable(value) if isinstance(value, str) else value for name, value in given.items()}


def _log_width(estimate: Estimate) -> float:
    return max(math.log(estimate.high / estimate.low), 1e-6)


def _moved(rows: Numbers) -> float:
    """Return how far the median estimate of the homes moves, as a logarithm."""
    return abs(float(np.median(rows[:, _LOG_RATIO])))


def _apart(rows: Numbers, factor: float) -> Apart:
    ratios = rows[:, _LOG_RATIO]
    priced = np.isfinite(ratios)
    found = bool(priced.any())
    return Apart(
        homes=len(rows),
        failed=int((~priced).sum()),
        ratio=float(np.exp(np.median(ratios[priced]))) if found else None,
        p99=float(np.exp(np.quantile(np.abs(ratios[priced]), 0.99))) if found else None,
        beyond=float(np.mean(np.abs(ratios) > math.log(factor))),
        width=float(np.median(rows[priced, _WIDTH])) if found else None,
    )
