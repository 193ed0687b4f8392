"""Where an estimate should lie among the prices that such homes have.

Errors are counted as shares of the price: an estimate that is a fifth too high in logarithms is further off than one
that is a fifth too low. So the middle of prices is not the best estimate; a little below it more homes are within any
share of their price. How much is learned from estimates of homes that a model had not seen.
"""

from __future__ import annotations

import numpy as np

from homeprices.training.encoding import Prices

SHIFTS = np.linspace(-0.1, 0.05, 61)
"""Of the logarithm of an estimate."""

LARGEST_ERROR = 0.3
"""A home that is further off is no nearer to being well priced at twice that."""


def best_level(errors: Prices) -> float:
    """The shift of all log estimates by which most homes are within a share of their price, on average over all shares
    up to LARGEST_ERROR.

    `errors` are log(price / estimate). That average is 1 less the mean of min(error, LARGEST_ERROR) / LARGEST_ERROR,
    which is far steadier than the share within any one limit or the median error.
    """
    losses = [np.minimum(np.abs(np.expm1(shift - errors)), LARGEST_ERROR).mean() for shift in SHIFTS]
    return float(SHIFTS[int(np.argmin(losses))])
