"""Time to find a smaller price error: by the paired comparison in use, and by comparing variants."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from homeprices.experiment.confidence_sequences import half_width
from homeprices.predictions.feedback import MAX_PRICE_ERROR
from homeprices.simulation.visitors import HOURS_A_DAY, Array

LEAST_PRICES = 30


class Prices(BaseModel):
    """A scenario: visitors an hour, the share that reports the price, and the errors of two models.

    A model misses by a factor exp(r) with r normal of `deviation`; the candidate's are `smaller` times smaller, and the
    two models' r have the given `correlation`, because both models lack the same information about a home.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    visitors_an_hour: float = Field(default=50.0, gt=0, le=1000)
    told: float = Field(default=0.05, gt=0, le=1)
    share: float = Field(default=0.2, gt=0, lt=1)
    deviation: float = Field(default=0.25, gt=0, le=2)
    smaller: float = Field(default=0.1, ge=0, lt=1)
    correlation: float = Field(default=0.8, ge=0, le=1)
    days: int = Field(default=60, ge=1, le=365)
    runs: int = Field(default=2000, ge=1, le=20_000)
    seed: int = Field(default=1, ge=0)


def days_to_find(prices: Prices, alpha: float, expected: float) -> dict[str, Any]:
    """Return the median days until the smaller error is significant, and the share of runs with that result, for both
    ways.
    """
    rng = np.random.default_rng(prices.seed)
    a_day = prices.visitors_an_hour * HOURS_A_DAY * prices.told
    found: dict[str, list[float]] = {"paired": [], "by_variant": []}
    most = round(a_day * prices.days)
    for _ in range(prices.runs):
        shared, own = rng.normal(size=(2, most))
        production = _error(prices.deviation * shared)
        mixed = prices.correlation * shared + np.sqrt(1 - prices.correlation**2) * own
        candidate = _error((1 - prices.smaller) * prices.deviation * mixed)
        variant = rng.random(most) < prices.share
        found["paired"].append(_first(*_paired(production - candidate), alpha, expected))
        found["by_variant"].append(_first(*_by_variant(production, candidate, variant), alpha, expected))
    return {
        **prices.model_dump(),
        **{way: {"median_days": _median(counts, a_day), "found": _share(counts)} for way, counts in found.items()},
    }


def _error(missed: Array) -> Array:
    return np.asarray(np.minimum(np.abs(np.expm1(missed)), MAX_PRICE_ERROR))


def _paired(nearer: Array) -> tuple[Array, Array, Array]:
    n = np.arange(1, len(nearer) + 1)
    mean, variance = _moments(nearer, np.ones_like(nearer))
    return n, mean, variance / n


def _by_variant(production: Array, candidate: Array, variant: Array) -> tuple[Array, Array, Array]:
    n_b = np.cumsum(variant)
    n_a = np.arange(1, len(variant) + 1) - n_b
    mean_a, variance_a = _moments(production, ~variant)
    mean_b, variance_b = _moments(candidate, variant)
    least = np.minimum(n_a, n_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(least > 1, variance_a / n_a + variance_b / n_b, np.inf)
    return np.where(least >= LEAST_PRICES, n_a + n_b, 0), mean_a - mean_b, variance


def _moments(values: Array, taken: Array) -> tuple[Array, Array]:
    n = np.maximum(np.cumsum(taken), 1)
    mean = np.cumsum(values * taken) / n
    return mean, (np.cumsum(values**2 * taken) - n * mean**2) / np.maximum(n - 1, 1)


def _first(n: Array, mean: Array, variance: Array, alpha: float, expected: float) -> float:
    """Return the number of prices at which the lower bound is first above zero; infinite if it never is."""
    usable = np.where(np.isfinite(variance), variance, 0.0)
    width = half_width(usable, n, alpha=alpha, expected=expected, one_sided=True)
    known = (np.arange(1, len(mean) + 1) >= LEAST_PRICES) & np.isfinite(variance) & (mean - width > 0)
    return float(np.argmax(known) + 1) if known.any() else float("inf")


def _median(counts: list[float], a_day: float) -> float | None:
    middle = float(np.median(counts))
    return middle / a_day if np.isfinite(middle) else None


def _share(counts: list[float]) -> float:
    return float(np.mean(np.isfinite(counts)))
