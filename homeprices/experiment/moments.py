"""Moments of samples, exact to the last bit whatever the order of the values."""

from __future__ import annotations

import math
from collections.abc import Iterable

from homeprices.experiment.evidence import SampleMoments


def sample_moments(values: Iterable[float]) -> SampleMoments:
    """Return number, mean and variance of the finite values."""
    finite = [value for value in values if math.isfinite(value)]
    n = len(finite)
    if n == 0:
        return SampleMoments()
    mean = math.fsum(finite) / n
    variance = math.fsum((value - mean) ** 2 for value in finite) / (n - 1) if n > 1 else 0.0
    return SampleMoments(n=n, mean=mean, variance=variance)


def trimmed_moments(values: Iterable[float], share: float) -> SampleMoments:
    """Return the moments of the finite values without `share` of them at each end, at least one value.

    `n` counts all, and `variance` divided by it is the variance of the trimmed mean: that of the values with the cut
    ones moved to the nearest that is left, over the squared share that is left (Yuen, Biometrika 61, 1974).
    """
    ordered = sorted(value for value in values if math.isfinite(value))
    n, cut = len(ordered), max(1, math.floor(share * len(ordered)))
    kept = ordered[cut : n - cut]
    if not kept:
        return SampleMoments()
    winsorized = sample_moments([kept[0]] * cut + kept + [kept[-1]] * cut)
    return SampleMoments(n=n, mean=math.fsum(kept) / len(kept), variance=winsorized.variance / (len(kept) / n) ** 2)
