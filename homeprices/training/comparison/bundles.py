"""Compares two bundles on homes that neither was trained on: paired errors, over all and by segment.

The gate before traffic (`training/challenger.py`) compares a draft with production, and decides. This comparison
decides nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from homeprices.data.preparation import Holdout, home_keys, priceable, to_homes
from homeprices.errors import InvalidInput
from homeprices.model.feature_matrix import Prices
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Predictor
from homeprices.training.challenger import bootstrap_difference, level_changes
from homeprices.training.regression_metrics import Inside, segments
from homeprices.words import ITEMS

HOMES_A_CALL = 4096  # bounds the memory of a call of the model
LEAST_HOMES = 10
"""A segment of fewer homes has no interval."""

DRAWS = 500
Described = Literal["form", "all"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Paired(_Frozen):
    """Two models on the same homes: median absolute percentage errors as fractions.

    `difference` is second minus first, with its 95 % interval by paired bootstrap; the interval is None for a segment
    of fewer than ten homes. `second_closer` is the share of homes whose price the second estimates better.
    """

    homes: int
    first: float
    second: float
    difference: float
    interval: tuple[float, float] | None
    second_closer: float

    def verdict(self, first: str, second: str) -> str:
        """Return which of the two named models is more accurate, as far as the interval tells."""
        if self.interval is None:
            return f"too few {ITEMS}"
        low, high = self.interval
        if low > 0:
            return f"{first} is more accurate"
        return f"{second} is more accurate" if high < 0 else "no difference is shown"


class Segment(_Frozen):
    """The homes of one group: `by` is price, size or location."""

    by: str
    name: str
    paired: Paired


class OfInputs(_Frozen):
    """The comparison of estimates from the form's fields (`form`) or from all inputs (`all`).

    `covered` holds the share of prices within the intervals of the first and of the second model. `apart` is the share
    of homes whose two estimates differ by more than 20 %.
    """

    inputs: Described
    overall: Paired
    segments: list[Segment]
    covered: tuple[float, float]
    apart: float


class BundleComparison(_Frozen):
    """Two bundles on the same homes. `known` homes, in the training rows of one of them, are left out."""

    first: str
    second: str
    on: str
    homes: int
    known: int
    results: list[OfInputs]


APART = 0.20


def compare(
    first: Predictor, second: Predictor, homes: Holdout, *, on: str, trained_on: Sequence[pd.DataFrame]
) -> BundleComparison:
    """Compare two models on clean rows with prices, without the rows whose homes are among `trained_on`.

    A model with place prices prices each home at the level of its place on the day of the listing, or at the levels of
    its training where that is not known. `trained_on` are the rows that the first, then the second model was fitted on;
    `on` says for people what the rows are. Raises InvalidInput when fewer than ten homes are left.
    """
    seen = {home for training in trained_on for home in home_keys(training)}
    rows = priceable(homes.rows)
    unseen = rows[~_is_in(rows, seen)]
    if len(unseen) < LEAST_HOMES:
        problem = f"{len(unseen)} {ITEMS} are in the training rows of neither bundle; at least {LEAST_HOMES} are needed"
        raise InvalidInput({"on": f"{on}: {problem}"})
    groups = segments(unseen, trained_on[0])
    return BundleComparison(
        first=first.version,
        second=second.version,
        on=on,
        homes=len(unseen),
        known=len(rows) - len(unseen),
        results=[_of_inputs(inputs, first, second, Holdout(unseen, homes.base), groups) for inputs in ("form", "all")],
    )


def _is_in(rows: pd.DataFrame, seen: Collection[tuple[Hashable, ...]]) -> Inside:
    return np.array([home in seen for home in home_keys(rows)], dtype=np.bool_)


def _of_inputs(
    inputs: Described,
    first: Predictor,
    second: Predictor,
    unseen: Holdout,
    groups: dict[str, dict[str, Inside]],
) -> OfInputs:
    prices = unseen.rows["price"].to_numpy(np.float64)
    homes = to_homes(unseen.rows, form=inputs == "form")
    one, two = (_estimates(model, homes, level_changes(model, unseen)) for model in (first, second))
    errors = [np.abs(estimates[:, 0] / prices - 1) for estimates in (one, two)]
    covered = [float(np.mean((each[:, 1] <= prices) & (prices <= each[:, 2]))) for each in (one, two)]
    return OfInputs(
        inputs=inputs,
        overall=_paired(errors[0], errors[1]),
        segments=[
            Segment(by=by, name=name, paired=_paired(errors[0][chosen], errors[1][chosen]))
            for by, named in groups.items()
            for name, chosen in named.items()
            if chosen.any()
        ],
        covered=(covered[0], covered[1]),
        apart=float(np.mean(np.abs(two[:, 0] / one[:, 0] - 1) > APART)),
    )


def _paired(first: Prices, second: Prices) -> Paired:
    medians = float(np.median(first)), float(np.median(second))
    return Paired(
        homes=len(first),
        first=medians[0],
        second=medians[1],
        difference=medians[1] - medians[0],
        interval=bootstrap_difference(second, first, DRAWS) if len(first) >= LEAST_HOMES else None,
        second_closer=float(np.mean(second < first)),
    )


def _estimates(predictor: Predictor, homes: list[Home], changes: Prices | None) -> Prices:
    """Price, low and high of each home, [N, 3], lakh rupees, times the change of its level."""
    parts = (predictor.estimate(homes[start : start + HOMES_A_CALL]) for start in range(0, len(homes), HOMES_A_CALL))
    found = np.array([(each.price, each.low, each.high) for part in parts for each in part], dtype=np.float64)
    return found if changes is None else found * changes[:, None]
