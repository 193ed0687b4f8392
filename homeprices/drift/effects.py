"""How much changed, which a p-value does not say: with enough rows any difference is significant."""

from __future__ import annotations

import numpy as np

from homeprices.drift.sample import Floats

HALF = 0.5
"""Added to each count, so that an empty cell has a logarithm (Jeffreys' prior)."""


def wasserstein(reference: Floats | None, current: Floats) -> float | None:
    """How far a value has to be moved on average, in standard deviations, from the percentiles of both samples.

    Distance and deviation are those of the middle 98 %: one listing of a million square feet would otherwise be the
    deviation of all. None for an old bundle, whose reference has no percentiles. A reference that is constant has no
    spread: both samples together give it then.
    """
    if reference is None:
        return None
    distance = float(np.mean(np.abs(reference - current)))
    if distance == 0:
        return 0.0
    return distance / float(np.std(reference) or np.std(np.concatenate([reference, current])))


def stability_index(reference: Floats, current: Floats) -> float:
    """The population stability index: sum of (q - p) ln(q / p) over the cells. 0 for equal shares.

    Source: Yurdakul 2018, Statistical Properties of the Population Stability Index.
    """
    p, q = _shares(reference), _shares(current)
    return float(np.sum((q - p) * np.log(q / p)))


def beyond_chance(reference: Floats, current: Floats) -> float:
    """The stability index without what chance alone adds to it on average: about 0 without drift, at every size."""
    return stability_index(reference, current) - index_by_chance(reference, current)


def index_by_chance(reference: Floats, current: Floats) -> float:
    """What the stability index is on average without any drift: (cells - 1) (1/m + 1/n). Source: the same."""
    return (len(reference) - 1) * (1 / float(reference.sum()) + 1 / float(current.sum()))


def jensen_shannon(reference: Floats, current: Floats) -> float:
    """The Jensen-Shannon distance to base 2: 0 for equal shares, 1 for samples that have nothing in common."""
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    divergence = (_divergence(p, middle) + _divergence(q, middle)) / 2
    return float(np.sqrt(max(0.0, divergence)))


def _divergence(p: Floats, q: Floats) -> float:
    held = p > 0
    return float(np.sum(p[held] * np.log2(p[held] / q[held])))


def _shares(counts: Floats) -> Floats:
    smoothed = counts + HALF
    shares: Floats = smoothed / smoothed.sum()
    return shares
