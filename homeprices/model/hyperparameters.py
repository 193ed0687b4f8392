"""Hyperparameter search for the teacher of all inputs: scikit-learn's randomised search, within the rows of one fit.

The search is part of fitting, so each fold of a cross-validation searches for itself, and the hold-out is never used.
It runs on joblib: on as many cores as `joblib.parallel_config` allows, or on other machines with a distributed back end
(Dask's or Ray's, which register themselves).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import KFold, RandomizedSearchCV

from homeprices.model.distillation import Teacher, fit_teacher
from homeprices.model.feature_columns import rounded_log
from homeprices.model.feature_matrix import FeatureEncoder, Prices
from homeprices.model.presets import Preset, TeacherSettings

FOLDS = 2

# The search space. The first value of each is the default, chosen on synthetic and on public listings.
SPACE: dict[str, list[Any]] = {
    "forest_leaf": [2, 1, 3, 4],
    "forest_features": [0.6, 0.4, 0.8, 1.0],
    "boosting_rate": [0.1, 0.06, 0.15],
    "boosting_leaves": [31, 15, 63],
    "forest_share": [0.6, 0.5, 0.7, 0.8],
}


class TeacherOfAll(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The teacher of all inputs as a scikit-learn regressor: model inputs in, log prices out.

    `fit` also fits the encoding, so that a search learns nothing from the rows that it is scored on.
    """

    def __init__(
        self,
        encoding: FeatureEncoder,
        preset: Preset,
        seed: int,
        forest_leaf: int = 2,
        forest_features: float = 0.6,
        boosting_rate: float = 0.1,
        boosting_leaves: int = 31,
        forest_share: float = 0.6,
    ) -> None:
        self.encoding = encoding
        self.preset = preset
        self.seed = seed
        self.forest_leaf = forest_leaf
        self.forest_features = forest_features
        self.boosting_rate = boosting_rate
        self.boosting_leaves = boosting_leaves
        self.forest_share = forest_share

    def settings(self) -> TeacherSettings:
        """The settings of this regressor."""
        return TeacherSettings(**{name: getattr(self, name) for name in SPACE})

    def fit(self, inputs: pd.DataFrame, log_prices: Prices) -> TeacherOfAll:
        """Fit model inputs with their log prices."""
        self.design_, matrix = self.encoding.fit_transform(inputs, np.exp(log_prices), self.seed)
        self.teacher_: Teacher = fit_teacher(matrix, log_prices, self.settings(), self.preset, self.seed)
        return self

    def predict(self, inputs: pd.DataFrame) -> Prices:
        """Log prices from all inputs."""
        return self.teacher_.predict(self.design_.transform(inputs))


def search_hyperparameters(
    encoding: FeatureEncoder, inputs: pd.DataFrame, prices: Prices, preset: Preset, seed: int
) -> TeacherSettings:
    """Return the best of `preset.trials` settings by cross-validated median error; without trials, the default.

    The same rows and seed give the same settings on any number of cores.
    """
    if not preset.trials:
        return TeacherSettings()
    smaller = replace(preset, trees=max(1, preset.trees // 2), rounds=max(1, preset.rounds // 2))
    searched = RandomizedSearchCV(
        TeacherOfAll(encoding, smaller, seed),
        SPACE,
        n_iter=preset.trials,
        scoring=_score,
        cv=KFold(FOLDS, shuffle=True, random_state=seed),
        random_state=seed,
        refit=False,
        error_score="raise",
    ).fit(inputs, rounded_log(prices))
    default = TeacherOfAll(encoding, smaller, seed).settings()
    return replace(default, **searched.best_params_)


def _score(teacher: TeacherOfAll, inputs: pd.DataFrame, log_prices: npt.NDArray[np.float64]) -> float:
    """Larger is better: the negative median absolute percentage error."""
    return -float(np.median(np.abs(np.exp(teacher.predict(inputs) - log_prices) - 1)))
