"""Simulated visitors of an experiment: sums of both variants at every hourly look, for many runs at once.

Arrays have the shape (runs, looks); a look is the end of an hour, and everything is counted since the beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

HOURS_A_DAY = 24
STARS = np.arange(1.0, 6.0)
# Frequencies of 1 to 5 stars, typical of 5-star scales on the web: mean 3.65, standard deviation 1.15.
USUAL_RATINGS = np.array([0.06, 0.10, 0.24, 0.33, 0.27])
USUAL_MEAN = float(USUAL_RATINGS @ STARS)
LATENCY_MS, LATENCY_DEVIATION_MS = 5.0, 3.0  # of either variant
ERROR_SHARE = SLOW_SHARE = 0.002  # of either variant; far below the limits
RETURN_HOURS = 24.0  # mean time until a visitor who rates again does so
CELLS_A_CHUNK, RATINGS_A_CHUNK = 100_000, 2_000_000  # limits the memory of a chunk

Array = np.ndarray[Any, Any]


class Scenario(BaseModel):
    """A simulated scenario: `effect` in stars, candidate minus production; `share` is the candidate's, from 0 to 0.5.

    There are `per_day` ratings, and `visitors_per_rating` visitors for each. `ratings_per_visitor` above 1 clusters
    ratings: a visitor has a taste (standard deviation `taste`) and returns. `true_share` is the actual share of the
    split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    effect: float = Field(default=0.0, ge=-2.6, le=1.3)
    share: float = Field(default=0.2, gt=0, le=0.5)
    runs: int = Field(default=2000, ge=1, le=100_000)
    seed: int = Field(default=1, ge=0, le=2**63 - 1)
    days: int = Field(default=14, ge=1, le=90)
    per_day: float = Field(default=100.0, gt=0, le=1e6)
    visitors_per_rating: float = Field(default=12.0, ge=1, le=1000)
    ratings_per_visitor: float = Field(default=1.0, ge=1, le=50)
    taste: float = Field(default=0.8, ge=0, le=3)
    true_share: float | None = Field(default=None, ge=0, le=1)

    @property
    def looks(self) -> int:
        """Number of looks, one per hour."""
        return self.days * HOURS_A_DAY

    @property
    def chunk(self) -> int:
        """Number of runs that are simulated together."""
        by_ratings = RATINGS_A_CHUNK / (self.days * self.per_day) if self.ratings_per_visitor > 1 else np.inf
        return max(1, int(min(self.runs, CELLS_A_CHUNK // self.looks, by_ratings)))


@dataclass(frozen=True)
class SimulatedVariant:
    """A variant at every look: visitors who were assigned, those who rated with the sums of their mean ratings and of
    their squares, and the ratings one by one; its answers' latency, errors and slow ones."""

    assigned: Array
    rated: Array
    means: Array
    means_squared: Array
    ratings: Array
    stars: Array
    stars_squared: Array
    latency: Array
    errors: Array
    slow: Array


def simulate_variants(scenario: Scenario, number: int, runs: int) -> tuple[SimulatedVariant, SimulatedVariant]:
    """Production and candidate of the `number`-th chunk, of so many runs. The same scenario gives the same visitors."""
    rng = np.random.default_rng([scenario.seed, number])
    share = scenario.share if scenario.true_share is None else scenario.true_share
    return (
        simulate_variant(rng, scenario, runs, 1 - share, 0.0),
        simulate_variant(rng, scenario, runs, share, scenario.effect),
    )


def rating_probabilities(mean: float, tilts: Array, weights: Array) -> Array:
    """Return the probabilities of 1 to 5 stars by type of visitor, so that all types together have this mean.

    They are the usual frequencies, tilted exponentially, which is the smallest change (in relative entropy) with this
    mean.
    """
    low, high = -30.0, 30.0
    for _ in range(100):  # bisection: the mean grows with the tilt
        middle = (low + high) / 2
        if float(weights @ (_tilted(middle + tilts) @ STARS)) < mean:
            low = middle
        else:
            high = middle
    return _tilted((low + high) / 2 + tilts)


def _tilted(tilts: Array) -> Array:
    logarithms = np.log(USUAL_RATINGS) + np.outer(tilts, STARS - 3)
    unscaled = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    return np.asarray(unscaled / unscaled.sum(axis=1, keepdims=True))


def simulate_variant(
    rng: np.random.Generator,
    scenario: Scenario,
    runs: int,
    part: float,
    effect: float,
    error_share: float = ERROR_SHARE,
) -> SimulatedVariant:
    """Return a variant that gets this part of the visitors, and fails at this share of the requests."""
    shape = (runs, scenario.looks)
    hourly = scenario.per_day / HOURS_A_DAY * part
    assigned = rng.poisson(hourly * scenario.visitors_per_rating, shape)
    mean = USUAL_MEAN + effect
    if scenario.ratings_per_visitor > 1:
        rated = _clustered(rng, scenario, shape, hourly, mean)
    else:
        rated = _single(rng, shape, hourly, mean)
    return accumulate(rng, assigned, rated, error_share)


def accumulate(
    rng: np.random.Generator, assigned: Array, rated: list[Array], error_share: float = ERROR_SHARE
) -> SimulatedVariant:
    """Return a variant by its hourly visitors and the six hourly sums of their ratings, in the order of the fields."""
    noise = rng.normal(0.0, LATENCY_DEVIATION_MS, assigned.shape) * np.sqrt(assigned)
    hourly_sums = [
        assigned,
        *rated,
        assigned * LATENCY_MS + noise,
        rng.binomial(assigned, error_share),
        rng.binomial(assigned, SLOW_SHARE),
    ]
    return SimulatedVariant(*(np.cumsum(sums, axis=1) for sums in hourly_sums))


def _single(rng: np.random.Generator, shape: tuple[int, int], hourly: float, mean: float) -> list[Array]:
    """Ratings of visitors who rate once."""
    [probabilities] = rating_probabilities(mean, np.zeros(1), np.ones(1))
    counts = rng.multinomial(rng.poisson(hourly, shape), probabilities)
    number, stars, squares = counts.sum(axis=-1), counts @ STARS, counts @ STARS**2
    return [number, stars, squares, number, stars, squares]


def _clustered(
    rng: np.random.Generator, scenario: Scenario, shape: tuple[int, int], hourly: float, mean: float
) -> list[Array]:
    """Ratings of visitors who have a taste and return; each rating changes the mean of its visitor."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    table = rating_probabilities(mean, scenario.taste * nodes, weights).cumsum(axis=1)
    first = np.repeat(np.arange(shape[0] * shape[1]), rng.poisson(hourly / scenario.ratings_per_visitor, shape).ravel())
    run, hour = np.divmod(first, shape[1])
    size = 1 + rng.poisson(scenario.ratings_per_visitor - 1, len(first))
    kind = rng.choice(len(weights), len(first), p=weights)
    visitor = np.repeat(np.arange(len(first)), size)
    order = np.arange(len(visitor)) - np.repeat(np.cumsum(size) - size, size)  # 0 for a visitor's first rating
    later = np.where(order > 0, rng.exponential(RETURN_HOURS, len(visitor)), 0.0)
    at = hour[visitor] + _within(later, size).astype(int)
    stars = 1.0 + (rng.random((len(visitor), 1)) > table[kind[visitor]][:, :-1]).sum(axis=1)
    now = _within(stars, size) / (order + 1)
    before = np.where(order > 0, (_within(stars, size) - stars) / np.maximum(order, 1), 0.0)
    came = at < shape[1]
    place = (run[visitor] * shape[1] + at)[came]
    values = [order == 0, now - before, now**2 - before**2, np.ones(len(visitor)), stars, stars**2]
    cells = shape[0] * shape[1]
    return [np.bincount(place, value[came].astype(float), cells).reshape(shape) for value in values]


def _within(values: Array, size: Array) -> Array:
    """Return running sums that restart with each visitor."""
    running = np.cumsum(values)
    ends = np.cumsum(size)
    before = np.concatenate([[0.0], running[ends[:-1] - 1]]) if len(size) else running
    return np.asarray(running - np.repeat(before, size))
