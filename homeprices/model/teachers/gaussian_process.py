"""A Gaussian process on the form's fields: the log price as a sum of a part for the city and a part for each place.

- **City:** a level, a smooth function of the home's size, and a level for the words in a place's name, so that the
  spellings and phases of one place ("JP Nagar", "JP Nagar Phase 2") learn from each other. These are functions of few
  numbers (a Nyström approximation of the size, the leading components of the n-grams), so their weights are found by
  a regression with a few hundred columns.
- **Place:** a level of the place, a smooth function of the size that is its own, and a narrow one that lets nearly
  equal homes learn from each other. It is exact: only homes of one place are related by it, so it takes one small
  matrix for each place, however many homes there are.

Both parts are fitted together (the matrix inversion lemma). The errors of prices have heavy tails, so homes that are
far from the fit are weighted down (Student's t, by iterative reweighting).

Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006, chapters 2, 8 and 9.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from homeprices.model.feature_columns import rounded_log
from homeprices.pricing.features import OTHER_LOCATION
from homeprices.pricing.inputs import AREA, COUNTS, LOCATION

Floats = npt.NDArray[np.float64]

# Variances of the parts, in log price, and length scales of the size: of log area, and of the log of each count.
LEVEL, SIZE, NAME = 1.0, 0.6, 0.12
PLACE, PLACE_SIZE, ALIKE = 0.05, 0.04, 0.03
SIZE_SCALE, PLACE_SIZE_SCALE, ALIKE_SCALE = (0.5, 0.6), (0.35, 0.5), (0.03, 0.15)

NOISE = 0.025
"""Variance of the error of a price near the fit."""

TAIL_DEGREES = 3.0
REWEIGHTINGS = 3

SIZE_POINTS = 250
NAME_COMPONENTS = 150
NGRAMS = (3, 5)
LEAST_NAMES = 3
MOST_HOMES_A_PLACE = 1_500
"""Of a place with more homes, it learns from an even selection by size."""

JITTER = 1e-6
DIGITS = 3
"""Log prices are rounded to a tenth of a percent, because the last digits of BLAS differ between processors."""

HOMES_AT_ONCE = 20_000


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A fitted process. `predict` takes model inputs, of which it reads the form's fields."""

    level: float
    points: Floats
    """Sizes [M, 1 + counts] whose weighted kernels are the smooth function of the size."""
    weights: Floats
    names: dict[str, float]
    """The level of the words in the name of each known place."""
    places: dict[str, tuple[Floats, Floats]]
    """Sizes and weights of the homes of each known place."""

    def predict(self, inputs: pd.DataFrame) -> Floats:
        """Return log prices, [N], rounded to DIGITS."""
        with threadpool_limits(limits=1):
            parts = [
                self._predict(inputs.iloc[first : first + HOMES_AT_ONCE])
                for first in range(0, len(inputs), HOMES_AT_ONCE)
            ]
        return np.concatenate(parts).round(DIGITS) if parts else np.empty(0)

    def _predict(self, inputs: pd.DataFrame) -> Floats:
        sizes = _sizes(inputs)
        found = self.level + _kernel(sizes, self.points, SIZE_SCALE) @ self.weights
        for name, homes in _by_place(inputs[LOCATION].to_numpy()):
            if name in self.places:
                known, weights = self.places[name]
                found[homes] += self.names.get(name, 0.0) + _of_place(sizes[homes], known) @ weights
        return np.asarray(found)


def fit_process(inputs: pd.DataFrame, log_prices: Floats) -> GaussianProcess:
    """Return the process fitted on model inputs and their log prices, whatever the order of the rows."""
    with threadpool_limits(limits=1):
        return _fit(inputs, log_prices)


def _fit(inputs: pd.DataFrame, log_prices: Floats) -> GaussianProcess:
    sizes, names = _sizes(inputs), inputs[LOCATION].to_numpy()
    order = np.lexsort((log_prices, *sizes.T, names))
    order = np.concatenate([order[_selected(homes)] for _, homes in _by_place(names[order])])
    sizes, names, log_prices = sizes[order], names[order], log_prices[order]
    mean = float(log_prices.mean())
    points, words = _size_points(sizes), _name_components(names)
    factor = cholesky(_kernel(points, points, SIZE_SCALE) + JITTER * np.eye(len(points)), lower=True)
    smooth = solve_triangular(factor, _kernel(sizes, points, SIZE_SCALE).T, lower=True).T
    city = np.hstack([
        np.full((len(sizes), 1), np.sqrt(LEVEL)),
        np.sqrt(SIZE) * smooth,
        np.sqrt(NAME) * np.stack([words[name] for name in names]),
    ])  # fmt: skip
    places = _by_place(names)
    kernels = [_of_place(sizes[homes], sizes[homes]) for _, homes in places]
    noise = np.full(len(sizes), NOISE)
    for again in range(REWEIGHTINGS + 1):
        weights, local = _solve(city, log_prices - mean, [homes for _, homes in places], kernels, noise)
        if again < REWEIGHTINGS:
            noise = _reweighted(noise * local)
    level, of_size, of_words = np.split(weights, [1, 1 + len(points)])
    return GaussianProcess(
        level=mean + float(np.sqrt(LEVEL) * level[0]),
        points=points,
        weights=np.sqrt(SIZE) * solve_triangular(factor, of_size, lower=True, trans="T"),
        names={name: float(np.sqrt(NAME) * components @ of_words) for name, components in words.items()},
        places={name: (sizes[homes], local[homes]) for name, homes in places},
    )


def _solve(
    city: Floats, errors: Floats, places: list[npt.NDArray[np.int64]], kernels: list[Floats], noise: Floats
) -> tuple[Floats, Floats]:
    """Return the weights of the city's columns, and of each home in its place's part.

    The covariance is that of the places, a block for each, plus the city's columns times their transpose.
    """
    columns, solved = np.zeros_like(city), np.zeros_like(errors)
    for homes, kernel in zip(places, kernels, strict=True):
        factor = cho_factor(kernel + np.diag(noise[homes]), lower=True, check_finite=False)
        both = cho_solve(factor, np.column_stack([city[homes], errors[homes]]), check_finite=False)
        columns[homes], solved[homes] = both[:, :-1], both[:, -1]
    inner = cho_factor(np.eye(city.shape[1]) + city.T @ columns, lower=True, check_finite=False)
    weights = cho_solve(inner, city.T @ solved, check_finite=False)
    return weights, solved - columns @ weights


def _reweighted(residuals: Floats) -> Floats:
    """Return the noise of each home by its residual from the fit."""
    scale = np.median(np.abs(residuals)) / 0.6745  # the standard deviation, if most residuals are normal
    if not scale:
        return np.full(len(residuals), NOISE)
    return np.asarray(NOISE * (TAIL_DEGREES + (residuals / scale) ** 2) / (TAIL_DEGREES + 1))


def _name_components(names: npt.NDArray[Any]) -> dict[str, Floats]:
    """Return the leading components of the n-grams of each place's name; zeros for `other`, which is no name."""
    places = [str(name) for name in np.unique(names)]
    known = [name for name in places if name != OTHER_LOCATION]
    if len(known) < LEAST_NAMES:
        return {name: np.zeros(1) for name in places}
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=NGRAMS, sublinear_tf=True).fit_transform(known)
    count = min(NAME_COMPONENTS, min(grams.shape) - 1)
    components = TruncatedSVD(count, algorithm="arpack", random_state=0).fit_transform(grams)
    return {OTHER_LOCATION: np.zeros(count), **dict(zip(known, components, strict=True))}


def _sizes(inputs: pd.DataFrame) -> Floats:
    """Return the logarithms of area and counts, [N, 1 + counts]."""
    return np.column_stack([rounded_log(inputs[name]) for name in (AREA, *COUNTS)])


def _size_points(sizes: Floats) -> Floats:
    """Return up to SIZE_POINTS of the different sizes, evenly by counts and then area."""
    different = np.unique(sizes[:, ::-1], axis=0)[:, ::-1]
    chosen = np.unique(np.linspace(0, len(different) - 1, SIZE_POINTS).astype(int))
    return np.asarray(different[chosen])


def _selected(homes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    chosen = np.unique(np.linspace(0, len(homes) - 1, MOST_HOMES_A_PLACE).astype(int))
    return homes[chosen] if len(homes) > MOST_HOMES_A_PLACE else homes


def _by_place(names: npt.NDArray[Any]) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Return each place with the positions of its homes."""
    codes, known = pd.factorize(names, sort=True)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(1, len(known)))
    return [(str(name), homes) for name, homes in zip(known, np.split(order, starts), strict=True)]


def _of_place(left: Floats, right: Floats) -> Floats:
    """Return the covariance of homes of one place, [N, M]."""
    alike = ALIKE * _kernel(left, right, ALIKE_SCALE)
    return np.asarray(PLACE + PLACE_SIZE * _kernel(left, right, PLACE_SIZE_SCALE) + alike)


def _kernel(left: Floats, right: Floats, scales: tuple[float, float]) -> Floats:
    """Return the squared-exponential kernel of sizes, [N, M]: one length scale of the area, one of all counts."""
    of = np.array([scales[0], *[scales[1]] * (left.shape[1] - 1)])
    left, right = left / of, right / of
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :] - 2 * left @ right.T
    covariance: Floats = np.exp(-0.5 * np.maximum(squares, 0.0))
    return covariance
