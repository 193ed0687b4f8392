"""Calibration of a fitted model on out-of-fold predictions: a bias correction and a 90 % prediction interval.

The interval is a conformalised quantile regression (Romano, Patterson, Candès 2019, https://arxiv.org/abs/1905.03222)
on log(price / estimate). The regression scales the interval to the home. The conformal step widens or narrows all
intervals by one number, so that their coverage holds even when the regression is poor. There is one number for homes
with only the form's fields, and one for homes with more inputs.

The bias correction is a constant added to every log estimate. The metric is relative error, which is asymmetric on the
log scale: an overestimate costs more than an underestimate of the same size. The best estimate therefore lies slightly
below the conditional median.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold

from homeprices.model.feature_columns import Matrix
from homeprices.model.feature_matrix import FeatureTransformer, Prices, form_only
from homeprices.model.features_by_estimator import TELLING, interval_features
from homeprices.model.onnx_builder import OnnxBuilder, add_tree, constant_ensemble, ensemble_of

COVERAGE = 0.9
FOLDS = 4
ROUNDS, LEAVES, LEARNING_RATE = 60, 8, 0.08
MIN_HOMES_A_LEAF = 60
MIN_HOMES = 300
"""With fewer homes, every home gets the same interval: the quantiles of all errors."""

NARROWEST = 0.01
"""Minimum distance, in log price, from the estimate to each bound."""

STEPS = 32.0
"""Log estimates are rounded to steps of 1 / 32 (3 %), because the last digit of the ONNX graph differs from NumPy's and
must not decide a split of a tree."""

SHIFTS = np.linspace(-0.1, 0.05, 61)
"""Candidates for the bias correction, in log price."""

MISSING_BELOW = -0.5
"""A column of `TELLING` is below it where its input is missing."""

LARGEST_ERROR = 0.3
"""Relative errors are capped here, because a home that is further off is mispriced in either case."""


@dataclass(frozen=True)
class ConformalInterval:
    """Bounds of log(price / estimate).

    `design` computes the features, to which the log estimate is appended. `regressors` predict the lower and the upper
    quantile; with too few homes they are None, and `middle` holds both quantiles. `form` and `full` are the conformal
    corrections that widen the interval at both ends.
    """

    design: FeatureTransformer
    regressors: tuple[Any, Any] | None
    middle: tuple[float, float]
    form: float
    full: float

    def bounds(self, inputs: pd.DataFrame, log_estimates: Prices) -> tuple[Prices, Prices]:
        """Lower and upper bound of log(price / estimate), [N] each, on both sides of 0."""
        matrix = _matrix(self.design, inputs, log_estimates)
        low, high = _quantiles(self.regressors, self.middle, matrix)
        apart = np.where(_of_form(inputs), self.form, self.full)
        return np.minimum(low - apart, -NARROWEST), np.maximum(high + apart, NARROWEST)

    def node(
        self, graph: OnnxBuilder, matrix: str, width: int, places: Sequence[int], log_estimate: str
    ) -> tuple[str, str]:
        """The names of both bounds, [N, 1] float32.

        The matrix has `width` columns, and `places` are the positions of the design's columns in it. The conformal
        correction is one more tree: `form` where all of `TELLING` are missing, else `full`.
        """
        step = graph.add("Round", [graph.add("Mul", [log_estimate, graph.constant(STEPS)])])
        matrix = graph.add("Concat", [matrix, step], axis=1)
        missing = [(places[self.design.columns.index(one)], MISSING_BELOW) for one in TELLING]
        bounds = []
        for side, operator, sign in ((0, "Min", -1), (1, "Max", 1)):
            trees = (
                ensemble_of(self.regressors[side], [*places, width])
                if self.regressors
                else constant_ensemble(self.middle[side])
            )
            trees = add_tree(trees, missing, sign * self.form, sign * self.full)
            bounds.append(graph.add(operator, [graph.trees(trees, matrix), graph.constant(sign * NARROWEST)]))
        return bounds[0], bounds[1]


def fit_interval(
    inputs: pd.DataFrame, log_form: Prices, log_full: Prices, log_prices: Prices, seed: int
) -> ConformalInterval:
    """Return the interval fitted on out-of-fold log estimates of these homes, from the form's and from all inputs."""
    design = interval_features(inputs)
    both = pd.concat([form_only(inputs), inputs], ignore_index=True)
    estimates = np.concatenate([log_form, log_full])
    errors = np.concatenate([log_prices, log_prices]) - estimates
    matrix = _matrix(design, both, estimates)
    of_form = np.arange(len(both)) < len(inputs)
    tails = _tails(errors)
    if len(inputs) < MIN_HOMES:
        low, high = np.full(len(errors), tails[0]), np.full(len(errors), tails[1])
        regressors = None
    else:
        low, high = _out_of_fold(matrix, errors, len(inputs), tails, seed)
        regressors = _fit(matrix, errors, seed)
    beyond = np.maximum(low - errors, errors - high)
    form, full = (_conformal(beyond[chosen]) for chosen in (of_form, ~of_form))
    return ConformalInterval(design, regressors, tails, form, full)


def _out_of_fold(
    matrix: Matrix, errors: Prices, homes: int, tails: tuple[float, float], seed: int
) -> tuple[Prices, Prices]:
    """Both quantiles of each home, predicted by a regression that saw neither description of it."""
    low, high = np.empty(len(errors)), np.empty(len(errors))
    for fitted, left_out in KFold(FOLDS, shuffle=True, random_state=seed).split(np.arange(homes)):
        train, test = np.concatenate([fitted, fitted + homes]), np.concatenate([left_out, left_out + homes])
        low[test], high[test] = _quantiles(_fit(matrix[train], errors[train], seed), tails, matrix[test])
    return low, high


def _fit(matrix: Matrix, errors: Prices, seed: int) -> tuple[Any, Any]:
    low, high = (
        HistGradientBoostingRegressor(
            loss="quantile",
            quantile=quantile,
            max_iter=ROUNDS,
            max_leaf_nodes=LEAVES,
            learning_rate=LEARNING_RATE,
            min_samples_leaf=MIN_HOMES_A_LEAF,
            early_stopping=False,
            random_state=seed,
        ).fit(matrix, errors)
        for quantile in ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
    )
    return low, high


def _quantiles(
    regressors: tuple[Any, Any] | None, middle: tuple[float, float], matrix: Matrix
) -> tuple[Prices, Prices]:
    if regressors is None:
        return np.full(len(matrix), middle[0]), np.full(len(matrix), middle[1])
    low, high = (np.asarray(one.predict(matrix), dtype=np.float64) for one in regressors)
    return low, high


def _conformal(beyond: Prices) -> float:
    """The conformal correction, with which a new price lies within its interval with probability COVERAGE."""
    rank = min(1.0, np.ceil((len(beyond) + 1) * COVERAGE) / len(beyond))
    return float(np.quantile(beyond, rank, method="higher"))


def _tails(errors: Prices) -> tuple[float, float]:
    low, high = np.quantile(errors, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


def _matrix(design: FeatureTransformer, inputs: pd.DataFrame, log_estimates: Prices) -> Matrix:
    steps = np.rint(np.asarray(log_estimates, dtype=np.float32) * np.float32(STEPS))
    return np.hstack([design.transform(inputs), steps[:, None]])


def _of_form(inputs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether a home has the form's fields only, or only what reveals little more."""
    told = np.hstack([column.values(inputs) for column in TELLING])
    return np.asarray((told < MISSING_BELOW).all(axis=1), dtype=bool)


def best_bias_correction(errors: Prices) -> float:
    """Return the shift of all log estimates with the smallest mean relative error, errors capped at LARGEST_ERROR.

    `errors` are log(price / estimate). The criterion equals the share of homes within x % of their price, averaged over
    x up to LARGEST_ERROR. It varies far less between samples than the share within one limit or the median error.
    """
    losses = [np.minimum(np.abs(np.expm1(shift - errors)), LARGEST_ERROR).mean() for shift in SHIFTS]
    return float(SHIFTS[int(np.argmin(losses))])


@dataclass(frozen=True, eq=False)
class OutOfFoldPredictions:
    """Log estimates of every training row by models that did not see it, from the form's fields and from all inputs."""

    form: Prices
    full: Prices

    def to_bytes(self) -> bytes:
        """An `.npz` file, which `from_bytes` reads."""
        body = io.BytesIO()
        np.savez(body, form=self.form, full=self.full)
        return body.getvalue()

    @classmethod
    def from_bytes(cls, body: bytes) -> OutOfFoldPredictions:
        """The predictions in a file of `to_bytes`."""
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            return cls(arrays["form"], arrays["full"])
