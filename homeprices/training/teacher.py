"""The best estimator of the table: extremely randomised trees and boosting on the absolute error, averaged.

Neither monotone in the area nor quick enough to be asked by visitors; a student learns from it (see `distill`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from homeprices.pricing.features import OPTIONAL
from homeprices.training.design import Design, Matrix
from homeprices.training.effort import Effort
from homeprices.training.encoding import Prices


@dataclass(frozen=True)
class TeacherSettings:
    """What a search may change. `forest_share` is the forest's in the mean; the rest is the boosting's."""

    forest_leaf: int = 2
    forest_features: float = 0.6
    boosting_rate: float = 0.1
    boosting_leaves: int = 31
    forest_share: float = 0.6


@dataclass(frozen=True)
class Teacher:
    """Regressors of one matrix with their shares in the mean of log prices."""

    members: tuple[tuple[float, Any], ...]

    def predict(self, matrix: Matrix) -> Prices:
        """Log prices, [N]."""
        return np.asarray(sum(share * np.asarray(member.predict(matrix)) for share, member in self.members))


def mean_of(teachers: Sequence[Teacher]) -> Teacher:
    """One teacher that says the mean of what these say."""
    return Teacher(tuple((share / len(teachers), one) for teacher in teachers for share, one in teacher.members))


def fit_teacher(matrix: Matrix, log_prices: Prices, settings: TeacherSettings, effort: Effort, seed: int) -> Teacher:
    """The teacher of one set of inputs. It is never published, so its trees are free in every direction.

    Whatever joblib was told of cores and wherever this runs, it is one thread's work: threads add up in the order in
    which they end, a forest the estimates of its trees and a boosting its gradients, and the last digit then differs
    from run to run.
    """
    forest = ExtraTreesRegressor(
        effort.trees,
        min_samples_leaf=settings.forest_leaf,
        max_features=settings.forest_features,
        random_state=seed,
        n_jobs=1,
    )
    boosting = HistGradientBoostingRegressor(
        loss="absolute_error",
        learning_rate=settings.boosting_rate,
        max_iter=effort.rounds,
        max_leaf_nodes=settings.boosting_leaves,
        min_samples_leaf=10,
        early_stopping=False,
        random_state=seed,
    )
    shares = (settings.forest_share, 1 - settings.forest_share)
    with threadpool_limits(limits=1):
        fitted = [one.fit(matrix, log_prices) for one in (forest, boosting)]
    return Teacher(tuple(zip(shares, fitted, strict=True)))


def form_columns(design: Design) -> npt.NDArray[np.bool_]:
    """Which columns of the matrix read the form's fields only."""
    optional = set(OPTIONAL)
    return np.array([not column.inputs() & optional for column in design.columns for _ in column.names()])
