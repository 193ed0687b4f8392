"""Confidence sequences: bounds that are valid at every look, so that hourly looks do not raise the error rate.

Each function takes numbers or NumPy arrays and returns the same shape. The module knows neither variants nor policies.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import ndtr

Numbers = Any
"""A float, or an array of floats that broadcasts with the others."""
Array = np.ndarray[Any, Any]


def mixture_precision(alpha: float, expected: float) -> float:
    """Return rho squared, the precision of the mixture whose confidence sequence is tightest at `expected` units.

    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, Time-uniform central limit theory, arXiv 2103.06476v7, eq. 161.
    """
    return (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / expected


def half_width(
    variance: Numbers, sample: Numbers, *, alpha: float, expected: float, one_sided: bool = False
) -> Numbers:
    """Return half the width of the asymptotic confidence sequence of an estimate, at error rate `alpha` over all looks.

    `variance` is that of the estimate (for a difference of means, s²/n of one variant plus s²/n of the other). `sample`
    is the number of units, `expected` the number at which the sequence is tightest. Infinite without a unit. Two-sided:
    eq. 9 of arXiv 2103.06476v7; one-sided: eq. 134, tuned at twice alpha. Both are as in GrowthBook's gbstats.
    """
    rho2 = mixture_precision(2 * alpha if one_sided else alpha, expected)
    variance, sample = np.asarray(variance, dtype=float), np.asarray(sample, dtype=float)
    units = np.where(sample > 0, sample, np.nan)
    grown = units * rho2 + 1
    logarithm = np.log1p(np.sqrt(grown) / (2 * alpha)) if one_sided else np.log(np.sqrt(grown) / alpha)
    width = np.sqrt(units * variance) * np.sqrt(2 * grown / (units**2 * rho2) * logarithm)
    return _to_scalar(np.where(np.isnan(width), np.inf, width))


def always_valid_p(
    estimate: Numbers, variance: Numbers, sample: Numbers, *, alpha: float, expected: float, one_sided: bool = False
) -> Numbers:
    """Return the always-valid p-value of a zero effect, tuned for `alpha`: `half_width` excludes zero where it is less.

    Two-sided: arXiv 2103.06476v7, eq. 155. One-sided, of an effect of at most zero: eq. 134 solved for alpha.
    """
    rho2 = mixture_precision(2 * alpha if one_sided else alpha, expected)
    estimate, variance, sample = (np.asarray(value, dtype=float) for value in (estimate, variance, sample))
    if one_sided:
        estimate = np.maximum(estimate, 0.0)  # an effect below zero is no evidence at all
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = sample * estimate**2 / variance
        exponent, grown = rho2 * squared / (2 * (sample * rho2 + 1)), sample * rho2 + 1
        if one_sided:
            p = np.sqrt(grown) * np.exp(-exponent) / (-2 * np.expm1(-exponent))
        else:
            p = np.exp(-(exponent - np.log(grown) / 2))
    return _to_scalar(np.where(np.isnan(p), 1.0, np.minimum(p, 1.0)))


def holm(p: Numbers, *, alpha: float) -> Array:
    """Return which hypotheses are rejected, along the last axis, by Holm's procedure: any true one at most at `alpha`.

    On p-values that are always valid, the rate holds over all looks: the smallest of the m true ones ever falls to
    alpha / m with probability alpha at most (Bonferroni), and before that no true one is rejected.
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, axis=-1, kind="stable")
    steps = np.take_along_axis(p, order, axis=-1) <= alpha / np.arange(p.shape[-1], 0, -1)
    rejected = np.empty(p.shape, dtype=bool)
    np.put_along_axis(rejected, order, np.logical_and.accumulate(steps, axis=-1), axis=-1)
    return rejected


def bounded_half_width(
    sample: Numbers, *, spread: float, alpha: float, expected: Numbers, one_sided: bool = False
) -> Numbers:
    """Return half the width of a confidence sequence of the mean of values that lie within a range of `spread`.

    It is not asymptotic: it holds from the first value on, for any distribution, and is wider. A value in such a range
    is sub-Gaussian with variance spread²/4 (Hoeffding), and the sum stays under the normal mixture's boundary: Howard,
    Ramdas, McAuliffe, Sekhon, Time-uniform, nonparametric, nonasymptotic confidence sequences, arXiv 1810.08240, the
    two normal mixtures of its section 3.
    """
    sample = np.asarray(sample, dtype=float)
    units = np.where(sample > 0, sample, np.nan)
    factor = spread**2 / 4
    width = normal_mixture(units * factor, alpha=alpha, optimum=expected * factor, one_sided=one_sided) / units
    return _to_scalar(np.where(np.isnan(width), np.inf, width))


def normal_mixture(variance: Numbers, *, alpha: float, optimum: Numbers, one_sided: bool = False) -> Numbers:
    """Return the boundary that a sub-Gaussian sum with this intrinsic `variance` ever crosses with probability `alpha`.

    Tightest at the variance `optimum`. arXiv 1810.08240, section 3; the one-sided form is the paper's closed bound, up
    to 1 % above the boundary itself.
    """
    level = 2 * alpha if one_sided else alpha
    rho = optimum / (-2 * math.log(level) + math.log(1 - 2 * math.log(level)))
    grown = np.asarray(variance, dtype=float) + rho
    if one_sided:
        return np.sqrt(2 * grown * np.log1p(np.sqrt(grown / rho) / (2 * alpha)))
    return np.sqrt(grown * np.log(grown / (rho * alpha**2)))


def expected_loss(estimate: Numbers, variance: Numbers) -> Numbers:
    """Return the expected loss of choosing the candidate, in the unit of the estimate, with a flat prior.

    E[max(-d, 0)] of d normal around the estimate: sd φ(m/sd) - m Φ(-m/sd). It is only reported, because a rule based on
    it promotes an identical model in most experiments.
    """
    estimate, deviation = np.asarray(estimate, dtype=float), np.sqrt(np.asarray(variance, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore"):
        score = estimate / deviation
        density = np.exp(-(score**2) / 2) / math.sqrt(2 * math.pi)
        loss = deviation * density - estimate * ndtr(-score)
    return _to_scalar(np.where(deviation > 0, loss, np.maximum(-estimate, 0.0)))


def _to_scalar(value: Numbers) -> Numbers:
    """Return a Python float for a scalar, because JSON cannot hold NumPy numbers."""
    return float(value) if np.ndim(value) == 0 else value
