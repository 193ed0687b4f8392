"""Fits a model: estimator, bias correction and prediction interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from homeprices.model.calibration import best_bias_correction, fit_interval
from homeprices.model.distillation import distill, form_columns
from homeprices.model.estimators import EstimatorSpec
from homeprices.model.feature_columns import Matrix
from homeprices.model.feature_matrix import FeatureTransformer, Prices, learn_locations, model_inputs
from homeprices.model.hyperparameters import search_hyperparameters
from homeprices.model.presets import QUICK, Preset
from homeprices.model.price_model import PriceModel, _nothing


def fit(spec: EstimatorSpec, rows: pd.DataFrame, seed: int, effort: Preset = QUICK) -> PriceModel:
    """Fit an estimator on clean rows, without intervals. The same rows, seed and effort give the same model.

    An estimator that reads optional inputs sees every home twice, fully described and by the form's fields only, so
    that it has learned what to say when they are missing.
    """
    encoding = spec.encoding
    locations = learn_locations(rows, encoding.min_listings)
    inputs = model_inputs(rows, locations)
    prices = rows["price"].to_numpy(np.float64)
    design, matrix = encoding.fit_transform(inputs, prices, seed)
    # Boosting's threads meet at a barrier for every split; on a busy machine they wait for each other far longer than a
    # second thread saves on rows this few. The scheduler runs estimators side by side instead.
    with threadpool_limits(limits=1):
        if spec.build is None:
            settings = search_hyperparameters(encoding, inputs, prices, effort, seed)
            student, table = distill(encoding, design, matrix, inputs, prices, settings, effort, seed)
            return PriceModel(spec.name, locations.names, design, student, table)
        target = np.log(prices)
        if encoding.optional:
            blank = _blank_optional(design, matrix)
            matrix, target = np.vstack([matrix, blank]), np.concatenate([target, target])
        # Boosting cannot bin a column of which nothing is known. As a constant it is never split on.
        matrix[:, np.isnan(matrix).all(axis=0)] = 0
        regressor = spec.build(seed, design.monotonic_constraints(), effort).fit(matrix, target)
    return PriceModel(spec.name, locations.names, design, regressor)


def calibrate(model: PriceModel, rows: pd.DataFrame, log_form: Prices, log_full: Prices, seed: int) -> PriceModel:
    """The model with level and intervals, learned from log estimates of its training rows by models that had not seen
    them.
    """
    inputs = model_inputs(rows, model.locations)
    log_prices = np.log(rows["price"].to_numpy(np.float64))
    level = best_bias_correction(np.concatenate([log_prices - log_form, log_prices - log_full]))
    with threadpool_limits(limits=1):
        spread = fit_interval(inputs, log_form + level, log_full + level, log_prices, seed)
    return replace(model, bias_correction=level, interval=spread)


def _blank_optional(design: FeatureTransformer, matrix: Matrix) -> Matrix:
    """The matrix with every column that reads an optional input as it is when that input is missing."""
    optional = ~form_columns(design)
    return np.where(optional[None, :], design.transform(_nothing()), matrix)
