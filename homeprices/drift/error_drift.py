"""Error drift: whether estimates are still as close to actual prices as on the hold-out.

If visitors report actual prices, an e-process tests it, validly at every look. Without actual prices, the width of the
intervals gives an estimate, which is marked as such.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy import special

ALPHA = 0.01
"""Probability of ever raising an alarm for a bundle whose error has not changed, over all looks."""

MARGIN = 0.05
"""Smaller increases of the share of worse estimates are no drift: the hold-out's figures are off by about 0.01."""

WORSE_THAN_MEDIAN = 0.5

Price = tuple[float, float, float, float]
"""(actual price, estimate, low, high), lakh rupees."""


class Holdout(BaseModel):
    """Hold-out error of a bundle: the median absolute percentage error, the share within the interval, and the
    median of ln(high / low)."""

    model_config = ConfigDict(frozen=True)

    median_ape: float
    coverage: float
    log_width: float


class ErrorDrift(BaseModel):
    """Result for actual prices. `e_value` is evidence against "no worse than the hold-out": 100 or more is drift."""

    model_config = ConfigDict(frozen=True)

    prices: int
    median_ape: float | None = None
    coverage: float | None = None
    e_value: float = 1.0
    p_value: float = 1.0
    drift: bool = False
    estimated_median_ape: float | None = None
    sentence: str


def error_drift(prices: Sequence[Price], holdout: Holdout, log_widths: Sequence[float] = ()) -> ErrorDrift:
    """Test the error on prices, in order of arrival, against that on the hold-out.

    `log_widths` are ln(high / low) of the live estimates, whether or not their price is known.
    """
    guess = estimated_error(holdout, log_widths)
    if not prices:
        return ErrorDrift(prices=0, estimated_median_ape=guess, sentence=_without_prices(holdout, guess))
    actual, estimate, low, high = (np.array(column, dtype=np.float64) for column in zip(*prices, strict=True))
    errors = np.abs(estimate - actual) / actual
    outside = (actual < low) | (actual > high)
    evidence = (
        log_evidence(errors > holdout.median_ape, WORSE_THAN_MEDIAN + MARGIN),
        log_evidence(outside, min(1 - holdout.coverage + MARGIN, WORSE_THAN_MEDIAN + MARGIN)),
    )
    # The mean of two such processes is one; its largest value so far stays under 1/alpha with probability 1 - alpha.
    highest = float(np.max(np.logaddexp(*evidence) - math.log(2), initial=0.0))
    found = ErrorDrift(
        prices=len(prices),
        median_ape=float(np.median(errors)),
        coverage=float(1 - outside.mean()),
        e_value=math.exp(min(highest, 700.0)),
        p_value=math.exp(-highest),
        drift=highest >= -math.log(ALPHA),
        estimated_median_ape=guess,
        sentence="",
    )
    return found.model_copy(update={"sentence": _with_prices(found, holdout)})


def log_evidence(hits: npt.NDArray[np.bool_], null: float) -> npt.NDArray[np.float64]:
    """Return, after each trial, the logarithm of the evidence that hits are more frequent than `null`.

    The evidence is the likelihood of the hits, averaged over all shares above `null`, divided by that at `null`. If the
    share is `null` or less, it is a supermartingale that starts at one, so it ever exceeds 1/alpha with probability
    alpha at most (Ville 1939). The mixture is uniform above the null (Robbins 1970).
    """
    n = np.arange(1, len(hits) + 1)
    k = np.cumsum(hits)
    with np.errstate(divide="ignore"):  # no share above the null is likely at all
        above = special.betaln(k + 1, n - k + 1) + np.log(special.betaincc(k + 1, n - k + 1, null))
    above -= math.log1p(-null)
    evidence: npt.NDArray[np.float64] = above - k * math.log(null) - (n - k) * math.log1p(-null)
    return evidence


def estimated_error(holdout: Holdout, log_widths: Sequence[float]) -> float | None:
    """Return the median error that the width of the live intervals suggests: the hold-out's, scaled by the widths.

    Intervals are conformal and scaled to the home: nine prices in ten lie within them, so an interval that is twice as
    wide has errors twice as large. This does not detect that prices have moved since the training.
    """
    if not len(log_widths) or holdout.log_width <= 0:
        return None
    return holdout.median_ape * float(np.median(log_widths)) / holdout.log_width


def _with_prices(found: ErrorDrift, holdout: Holdout) -> str:
    said = (
        f"Of {found.prices:,} actual prices the median error is {found.median_ape:.1%}, on the hold-out it was "
        f"{holdout.median_ape:.1%}; {found.coverage:.0%} lie within the interval, there it was {holdout.coverage:.0%}"
    )
    verdict = "the error has grown" if found.drift else "no sign that the error has grown"
    return f"{said}: {verdict} (evidence {found.e_value:.3g}, drift from {1 / ALPHA:g} on)."


def _without_prices(holdout: Holdout, guess: float | None) -> str:
    if guess is None:
        return "No actual price is known, and no estimate was given: nothing can be said of the error."
    return (
        f"No actual price is known. By the width of the intervals the median error is estimated at {guess:.1%}; on the "
        f"hold-out it was measured at {holdout.median_ape:.1%}. This is an estimate, not a measurement."
    )
