"""Which estimator is best: cross-validation in which everything that learns learns inside the folds."""

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
from homeprices.model.feature_matrix import Prices, form_only
from homeprices.model.fitting import fit
from homeprices.model.presets import QUICK, Preset
from homeprices.training.regression_metrics import measure_both

CRITERION = "median_ape"

Places = npt.NDArray[np.int64]


class CrossValidation(BaseModel):
    """The metrics of an estimator: a dictionary a fold of each round, and their means, of homes that the fold did not
    see.
    """

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
    """Cross-validate an estimator on clean training rows, never the hold-out. Raises InvalidInput for no such name.

    Rows are divided `preset.repeats` times anew, for an estimator that is only compared once. What comes back of each
    row is from the first division: a mean over several would err less than a model does.
    """
    started = time.perf_counter()
    spec = estimator(name)
    prices = rows["price"].to_numpy(np.float64)
    repeats = preset.repeats if spec.monotone else 1
    folds = list(RepeatedKFold(n_splits=preset.folds, n_repeats=repeats, random_state=seed).split(rows))
    # On as many cores, or machines, as `joblib.parallel_config` says around this; one after the other without it.
    answers = Parallel()(delayed(_answer)(spec, rows, train, test, seed, preset) for train, test in folds)
    unseen = OutOfFoldPredictions(np.empty(len(rows)), np.empty(len(rows)))
    measured: list[dict[str, float]] = []
    for fold, ((_, test), (form, full)) in enumerate(zip(folds, answers, strict=True)):
        measured.append(measure_both(prices[test], form, full))
        if fold < preset.folds:
            unseen.form[test], unseen.full[test] = np.log(form), np.log(full)
    result = CrossValidation(
        estimator=name,
        simple=spec.simple,
        monotone=spec.monotone,
        folds=measured,
        mean={metric: float(np.mean([fold[metric] for fold in measured])) for metric in measured[0]},
        seconds=round(time.perf_counter() - started, 3),
    )
    return result, unseen


def _answer(
    spec: EstimatorSpec, rows: pd.DataFrame, train: Places, test: Places, seed: int, preset: Preset
) -> tuple[Prices, Prices]:
    """What a model of the rows `train` says of the rows `test`, from the form's fields and from all inputs."""
    model = fit(spec, rows.iloc[train], seed, preset)
    inputs = model.encode(rows.iloc[test])
    return model.predict(form_only(inputs)), model.predict(inputs)


def select_estimator(results: Iterable[CrossValidation], *, simple_only: bool) -> str:
    """The publishable estimator with the lowest mean median error; at a tie, the first of the table.

    Raises PublicationRefused when none may be published.
    """
    order = list(ESTIMATORS)
    allowed = [result for result in results if result.monotone and (result.simple or not simple_only)]
    if not allowed:
        raise PublicationRefused(f"no {'simple ' if simple_only else ''}estimator that may be published was trained")
    return min(allowed, key=lambda result: (result.mean[CRITERION], order.index(result.estimator))).estimator
