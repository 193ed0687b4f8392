"""How far a price may lie from its estimate: a 90 % interval that is wide where such homes differ, and calibrated.

Conformalised quantile regression (Romano, Patterson, Candès 2019, https://arxiv.org/abs/1905.03222) on the logarithm of
price / estimate, of homes that the estimates had not seen. The regression scales the interval to the home; the
conformal step widens or narrows all of them by one number, so that they cover what they promise whatever the
regression is worth. The number is found apart for homes described by the form and for homes described by more.
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

from homeprices.model.feature_columns import Column, Lookup, Matrix, Number, Ratio
from homeprices.model.feature_matrix import FeatureTransformer, Prices, form_only
from homeprices.model.onnx_builder import OnnxBuilder, add_tree, constant_ensemble, ensemble_of
from homeprices.pricing.features import AREA_TYPES, MISSING
from homeprices.pricing.inputs import AREA, BATHS, BEDROOMS, LOCATION, SOCIETY

COVERAGE = 0.9
FOLDS = 4
ROUNDS, LEAVES, LEARNING_RATE = 60, 8, 0.08
MIN_HOMES_A_LEAF = 60
MIN_HOMES = 300
"""Of fewer homes only the middle of all errors is taken, the same for every home."""

NARROWEST = 0.01
"""Log price: an interval reaches at least this far to both sides of its estimate."""

STEPS = 32.0
"""Log estimates are taken in steps of 1 / 32 (3 %). The graph's last digit differs from numpy's, and must not decide
which way a tree goes."""

# Negative where they are missing.
_BALCONY = Number("balcony", missing=-1.0)
_AREA_TYPE = Lookup("area_type", "code", {name: float(i) for i, name in enumerate(AREA_TYPES)}, -1.0)


@dataclass(frozen=True)
class ConformalInterval:
    """Bounds of log(price / estimate). `design` reads the inputs, the log estimate comes as one more column.

    `regressors` give the lower and the upper quantile, or are None. `form` and `full` are the amounts by which both are
    moved apart.
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

        The matrix has `width` columns, the design's at these `places`. By how much the bounds are moved apart is one
        more tree: where neither balconies nor the area type are told, it is `form`.
        """
        step = graph.add("Round", [graph.add("Mul", [log_estimate, graph.constant(STEPS)])])
        matrix = graph.add("Concat", [matrix, step], axis=1)
        missing = [(places[self.design.columns.index(one)], -0.5) for one in (_BALCONY, _AREA_TYPE)]
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
    """The spread of homes whose log estimates, from the form's fields and from all, come from models that had not seen
    them.
    """
    design = _design(inputs)
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
    """Both quantiles of homes that the regression did not see in either description."""
    low, high = np.empty(len(errors)), np.empty(len(errors))
    for seen, unseen in KFold(FOLDS, shuffle=True, random_state=seed).split(np.arange(homes)):
        train, test = np.concatenate([seen, seen + homes]), np.concatenate([unseen, unseen + homes])
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
    """How far bounds must move apart so that a new home lies within them with the probability COVERAGE."""
    rank = min(1.0, np.ceil((len(beyond) + 1) * COVERAGE) / len(beyond))
    return float(np.quantile(beyond, rank, method="higher"))


def _tails(errors: Prices) -> tuple[float, float]:
    low, high = np.quantile(errors, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


def _design(inputs: pd.DataFrame) -> FeatureTransformer:
    """What prices differ by; nothing here is learned from a price, so that errors are not known in advance."""
    counts = inputs[LOCATION].value_counts()
    societies = inputs[SOCIETY].value_counts()
    columns: list[Column] = [
        Number(AREA),
        Number(BEDROOMS),
        Number(BATHS),
        Ratio(AREA, BEDROOMS),
        Lookup(LOCATION, "listings", {str(k): float(np.log1p(n)) for k, n in counts.items()}, 0.0),
        _BALCONY,
        _AREA_TYPE,
        Lookup(SOCIETY, "listings", {str(k): float(np.log1p(n)) for k, n in societies.items() if k}, 0.0),
    ]
    return FeatureTransformer(columns)


def _matrix(design: FeatureTransformer, inputs: pd.DataFrame, log_estimates: Prices) -> Matrix:
    steps = np.rint(np.asarray(log_estimates, dtype=np.float32) * np.float32(STEPS))
    return np.hstack([design.transform(inputs), steps[:, None]])


def _of_form(inputs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether a home is described by the form's fields alone; the name of its housing complex adds little."""
    missing = inputs["balcony"].isna() & (inputs["area_type"] == MISSING)
    return np.asarray(missing, dtype=bool)


# Where an estimate should lie among the prices that such homes have.
#
# Errors are counted as shares of the price: an estimate that is a fifth too high in logarithms is further off than one
# that is a fifth too low. So the middle of prices is not the best estimate; a little below it more homes are within any
# share of their price. How much is learned from estimates of homes that a model had not seen.


SHIFTS = np.linspace(-0.1, 0.05, 61)
"""Of the logarithm of an estimate."""

LARGEST_ERROR = 0.3
"""A home that is further off is no nearer to being well priced at twice that."""


def best_bias_correction(errors: Prices) -> float:
    """The shift of all log estimates by which most homes are within a share of their price, on average over all shares
    up to LARGEST_ERROR.

    `errors` are log(price / estimate). That average is 1 less the mean of min(error, LARGEST_ERROR) / LARGEST_ERROR,
    which is far steadier than the share within any one limit or the median error.
    """
    losses = [np.minimum(np.abs(np.expm1(shift - errors)), LARGEST_ERROR).mean() for shift in SHIFTS]
    return float(SHIFTS[int(np.argmin(losses))])


@dataclass(frozen=True, eq=False)
class OutOfFoldPredictions:
    """Log estimates of every training row by models that had not seen it, from the form's fields and from all."""

    form: Prices
    full: Prices

    def to_bytes(self) -> bytes:
        """For another process, by `from_bytes`."""
        body = io.BytesIO()
        np.savez(body, form=self.form, full=self.full)
        return body.getvalue()

    @classmethod
    def from_bytes(cls, body: bytes) -> OutOfFoldPredictions:
        """What `to_bytes` gave."""
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            return cls(arrays["form"], arrays["full"])
