"""Cross-validation and the choice of an estimator. Encodings, searches and distillation are fitted within each fold."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict
from sklearn.model_selection import RepeatedKFold

from homeprices.errors import PublicationRefused
from homeprices.model.calibration import OutOfFoldPredictions
from homeprices.model.estimators import ESTIMATORS, EstimatorSpec, estimator
from homeprices.model.feature_columns import rounded_log
from homeprices.model.feature_matrix import Prices, form_only
from homeprices.model.fitting import fit
from homeprices.model.presets import QUICK, Preset
from homeprices.training.regression_metrics import measure_both

CRITERION = "median_ape"

RowNumbers = npt.NDArray[np.int64]


class CrossValidation(BaseModel):
    """The metrics of an estimator on the test rows of each fold of each repeat, and their means."""

    model_config = ConfigDict(frozen=True)

    estimator: str
    simple: bool
    monotone: bool
    folds: list[dict[str, float]]
    mean: dict[str, float]
    seconds: float


def cross_validate(
    name: str, rows: pd.DataFrame, seed: int, preset: Preset = QUICK
) -> tuple[CrossValidation, OutOfFoldPredictions]:
    """Cross-validate an estimator on clean training rows, never the hold-out. Raises InvalidInput for an unknown name.

    Repeat the k-fold split `preset.repeats` times; estimators that are never published get one repeat. The returned
    out-of-fold predictions come from the first repeat, because an average over repeats would have a smaller error than
    any single model.
    """
    started = time.perf_counter()
    spec = estimator(name)
    prices = rows["price"].to_numpy(np.float64)
    repeats = preset.repeats if spec.monotone else 1
    folds = list(RepeatedKFold(n_splits=preset.folds, n_repeats=repeats, random_state=seed).split(rows))
    # Sequential, unless the caller configures cores or machines with `joblib.parallel_config`.
    predictions = Parallel()(delayed(_fit_and_predict)(spec, rows, train, test, seed, preset) for train, test in folds)
    out_of_fold = OutOfFoldPredictions(np.empty(len(rows)), np.empty(len(rows)))
    measured: list[dict[str, float]] = []
    for fold, ((_, test), (form, full)) in enumerate(zip(folds, predictions, strict=True)):
        measured.append(measure_both(prices[test], form, full))
        if fold < preset.folds:
            out_of_fold.form[test], out_of_fold.full[test] = rounded_log(form), rounded_log(full)
    result = CrossValidation(
        estimator=name,
        simple=spec.simple,
        monotone=spec.monotone,
        folds=measured,
        mean={metric: float(np.mean([fold[metric] for fold in measured])) for metric in measured[0]},
        seconds=round(time.perf_counter() - started, 3),
    )
    return result, out_of_fold


def _fit_and_predict(
    spec: EstimatorSpec, rows: pd.DataFrame, train: RowNumbers, test: RowNumbers, seed: int, preset: Preset
) -> tuple[Prices, Prices]:
    """Fit the rows `train` and predict the rows `test`, from the form's fields and from all inputs."""
    model = fit(spec, rows.iloc[train], seed, preset)
    inputs = model.encode(rows.iloc[test])
    return model.predict(form_only(inputs)), model.predict(inputs)


def select_estimator(results: Iterable[CrossValidation], *, simple_only: bool) -> str:
    """Return the monotone estimator with the lowest mean median error; at a tie, the first of the table.

    `simple_only` admits only simple ones. Raises PublicationRefused when none is left.
    """
    order = list(ESTIMATORS)
    allowed = [result for result in results if result.monotone and (result.simple or not simple_only)]
    if not allowed:
        raise PublicationRefused(f"no {'simple ' if simple_only else ''}estimator that may be published was trained")
    return min(allowed, key=lambda result: (result.mean[CRITERION], order.index(result.estimator))).estimator
