"""Fits a model: estimator, bias correction and prediction interval.

Rows are encoded here, once per fit. Everything below takes model inputs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from homeprices.model.calibration import OutOfFoldPredictions, best_bias_correction, fit_interval
from homeprices.model.distillation import distill, form_columns
from homeprices.model.estimators import EstimatorSpec
from homeprices.model.feature_columns import Matrix, rounded_log
from homeprices.model.feature_matrix import FeatureTransformer, Prices, blank_inputs, learn_locations, model_inputs
from homeprices.model.hyperparameters import search_hyperparameters
from homeprices.model.presets import QUICK, Preset
from homeprices.model.price_model import PriceModel
from homeprices.pricing.features import Locations


def fit(spec: EstimatorSpec, rows: pd.DataFrame, seed: int, preset: Preset = QUICK) -> PriceModel:
    """Return the estimator fitted on clean rows, without intervals. The same rows, seed and preset give the same model.

    An estimator that reads optional inputs sees every home twice, with all inputs and with the form's fields only, so
    that it learns what to predict when the others are missing.
    """
    locations, inputs, prices = _encode(spec, rows)
    return _fit(spec, locations, inputs, prices, seed, preset)


def fit_calibrated(
    spec: EstimatorSpec, rows: pd.DataFrame, out_of_fold: OutOfFoldPredictions, seed: int, preset: Preset = QUICK
) -> PriceModel:
    """Return the estimator fitted on clean rows, with bias correction and intervals.

    `out_of_fold` are predictions of the same rows, in the same order, by models of it that did not see them.
    """
    locations, inputs, prices = _encode(spec, rows)
    return calibrate(_fit(spec, locations, inputs, prices, seed, preset), inputs, prices, out_of_fold, seed)


def calibrate(
    model: PriceModel, inputs: pd.DataFrame, prices: Prices, out_of_fold: OutOfFoldPredictions, seed: int
) -> PriceModel:
    """Return the model with bias correction and intervals, learned from its out-of-fold predictions."""
    log_prices = rounded_log(prices)
    form, full = out_of_fold.form, out_of_fold.full
    correction = best_bias_correction(np.concatenate([log_prices - form, log_prices - full]))
    with threadpool_limits(limits=1):
        interval = fit_interval(inputs, form + correction, full + correction, log_prices, seed)
    return replace(model, bias_correction=correction, interval=interval)


def _encode(spec: EstimatorSpec, rows: pd.DataFrame) -> tuple[Locations, pd.DataFrame, Prices]:
    """The locations to learn, the model inputs and the prices of clean rows."""
    locations = learn_locations(rows, spec.encoding.min_listings)
    return locations, model_inputs(rows, locations), rows["price"].to_numpy(np.float64)


def _fit(
    spec: EstimatorSpec, locations: Locations, inputs: pd.DataFrame, prices: Prices, seed: int, preset: Preset
) -> PriceModel:
    encoding = spec.encoding
    features, matrix = encoding.fit_transform(inputs, prices, seed)
    # One thread: with this few rows, gradient boosting loses more time at its per-split barrier than a second thread
    # gains. Airflow runs the estimators in parallel instead.
    with threadpool_limits(limits=1):
        if spec.build is None:
            settings = search_hyperparameters(encoding, inputs, prices, preset, seed)
            student, curves = distill(encoding, features, matrix, inputs, prices, settings, preset, seed)
            return PriceModel(spec.name, locations.names, features, student, curves)
        target = rounded_log(prices)
        if encoding.optional:
            matrix, target = np.vstack([matrix, _without_optional(features, matrix)]), np.concatenate([target, target])
        # Boosting cannot bin a column that is missing in every row. A constant column is never split on.
        matrix[:, np.isnan(matrix).all(axis=0)] = 0
        regressor = spec.build(seed, features.monotonic_constraints(), preset).fit(matrix, target)
    return PriceModel(spec.name, locations.names, features, regressor)


def _without_optional(features: FeatureTransformer, matrix: Matrix) -> Matrix:
    """The matrix with every column that reads an optional input set to its value for a missing input."""
    return np.where(form_columns(features)[None, :], matrix, features.transform(blank_inputs()))
