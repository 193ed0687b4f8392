"""Whether models learn prices at one level (time adjustment): only where it lowers the error on the hold-out.

One estimator is fitted twice on the training rows, at listed prices and at prices of one level (`data.place_prices`),
and both price the hold-out, the newest listings: the second one times the change of each place's level up to the day of
the listing, as the service does it. A model uses place prices only if the whole interval of the difference in
median error lies below 0 from the form's fields, and not above 0 from all inputs.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from homeprices.data.preparation import BY_TIME, TIME_FACTOR, PreparedDataset
from homeprices.model.estimators import ESTIMATORS
from homeprices.model.feature_matrix import Prices, form_only
from homeprices.model.fitting import fit
from homeprices.model.presets import QUICK
from homeprices.training.challenger import CONFIDENCE, bootstrap_difference
from homeprices.words import ITEMS

ESTIMATOR = "boosting"
"""Quick to fit, and it may be published."""

LEAST_HOMES = 100
"""With fewer hold-out homes the interval of a difference says nothing."""

QUALITY = "place_prices"
"""The member of the quality report that holds the decision."""


class Difference(BaseModel):
    """Median absolute errors on the hold-out, as fractions, and the interval of with - without."""

    model_config = ConfigDict(frozen=True)

    without: float
    with_place_prices: float
    low: float
    high: float


class TimeAdjustment(BaseModel):
    """The decision with its evidence. `form` and `full` are None where nothing could be compared."""

    model_config = ConfigDict(frozen=True)

    used: bool
    as_of: date | None
    homes: int
    form: Difference | None = None
    full: Difference | None = None
    sentence: str


def decide(prepared: PreparedDataset, seed: int) -> PreparedDataset:
    """Return the dataset, time-adjusted if that lowers the error, with the decision in its quality report.

    Undated listings are returned as they are. The same rows and seed give the same decision.
    """
    if not prepared.rule.startswith(BY_TIME):
        return prepared
    found = measure(prepared, seed)
    quality = prepared.quality | {QUALITY: found.model_dump(mode="json")}
    return replace(prepared, quality=quality, time_adjusted=found.used)


def measure(prepared: PreparedDataset, seed: int) -> TimeAdjustment:
    """Fit with and without place prices, and compare both on the hold-out."""
    base, adjusted = prepared.base, replace(prepared, time_adjusted=True)
    if base is None:
        sentence = "No place prices: too few listings in the 90 days before the hold-out."
        return TimeAdjustment(used=False, as_of=None, homes=0, sentence=sentence)
    holdout = prepared.holdout
    holdout = holdout[holdout[TIME_FACTOR].notna()]
    if len(holdout) < LEAST_HOMES or adjusted.training.empty:
        sentence = f"No place prices: {len(holdout):,} {ITEMS} in the hold-out are too few to compare."
        return TimeAdjustment(used=False, as_of=base.as_of, homes=len(holdout), sentence=sentence)
    ones = np.ones(len(holdout))
    without = _errors(prepared.training, holdout, ones, seed)
    with_them = _errors(adjusted.training, holdout, holdout[TIME_FACTOR].to_numpy(np.float64), seed)
    form, full = (_difference(*pair) for pair in zip(without, with_them, strict=True))
    used = form.high < 0 and not full.low > 0
    said = (
        f"the median error on the newest {len(holdout):,} {ITEMS} is {form.with_place_prices:.1%} with them and "
        f"{form.without:.1%} without, from the form's fields; with {CONFIDENCE:.0%} confidence the difference is "
        f"{100 * form.low:+.1f} to {100 * form.high:+.1f} points"
    )
    sentence = f"Place prices are {'' if used else 'not '}used: {said}."
    return TimeAdjustment(used=used, as_of=base.as_of, homes=len(holdout), form=form, full=full, sentence=sentence)


def _errors(training: pd.DataFrame, holdout: pd.DataFrame, factors: Prices, seed: int) -> tuple[Prices, Prices]:
    """Absolute relative errors at the listed prices, from the form's fields and from all inputs."""
    model = fit(ESTIMATORS[ESTIMATOR], training, seed, QUICK)
    inputs, listed = model.encode(holdout), holdout["price"].to_numpy(np.float64)
    form, full = (model.predict(described) * factors / listed - 1 for described in (form_only(inputs), inputs))
    return np.abs(form), np.abs(full)


def _difference(without: Prices, with_them: Prices) -> Difference:
    low, high = bootstrap_difference(with_them, without)
    return Difference(
        without=float(np.median(without)), with_place_prices=float(np.median(with_them)), low=low, high=high
    )
