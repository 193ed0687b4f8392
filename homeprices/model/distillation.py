"""A teacher that is as good as can be, and a student of it that may be published.

The teacher is pairs of extremely randomised trees and boosting on the absolute error, as many for the four fields of
the form as for all inputs (`preset.teachers`): the best of the table, but neither monotone in the area nor quick. What
it says is kept as curves of the price over the area for the kinds of homes that are listed (see `area_table`), and
taught to a monotone boosting for every other home and for homes that are described by more than the form.

The student is not fitted on prices but on the teacher's estimates of homes, also of homes at other areas and with some
of the optional inputs missing: they have no noise, and there may be as many as one likes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from homeprices.model.feature_columns import Matrix
from homeprices.model.feature_matrix import FeatureEncoder, FeatureTransformer, Prices, form_only
from homeprices.model.isotonic_curves import IsotonicCurves, fit_curves
from homeprices.model.presets import Preset, TeacherSettings
from homeprices.pricing.inputs import AREA, OPTIONAL

MASKED_SHARE = 0.5
OTHER_AREAS = 0.25
"""Deviation, in log area, of the areas at which a training home is shown to the student again."""

OWN_AREA_WEIGHT = 3.0
STUDENT_LEAVES = 63


def distill(
    encoding: FeatureEncoder,
    design: FeatureTransformer,
    matrix: Matrix,
    inputs: pd.DataFrame,
    prices: Prices,
    settings: TeacherSettings,
    preset: Preset,
    seed: int,
) -> tuple[Any, IsotonicCurves]:
    """(student of the whole design, curves of the form's inputs), learned from training rows.

    `matrix` is the design of `inputs`, cross-fitted: the teacher learns from it, so that it trusts the price levels as
    much as they deserve. Later questions use the levels of all rows, and so do those that the student learns from. What
    the levels of a row are depends on how the rows are divided into folds, so `preset.teachers` learn from as many
    divisions, with a forest's trees shared among them, and what they say is averaged.
    """
    rng = np.random.default_rng(seed)
    form = form_columns(design)
    missing = _missing_row(design, inputs)
    others = [encoding.fit_transform(inputs, prices, seed + number)[1] for number in range(1, preset.teachers)]
    matrices = [matrix, *others]
    once, twice = np.log(prices), np.tile(np.log(prices), 2)
    of_form = [(one[:, form], once) for one in matrices]
    of_all = [(np.vstack([one, _mask(one, missing, ~form, rng)]), twice) for one in matrices]
    shared = replace(preset, trees=math.ceil(preset.trees / preset.teachers))
    taught = Parallel()(delayed(fit_teacher)(*lesson, settings, shared, seed) for lesson in [*of_form, *of_all])
    teacher_of_form, teacher_of_all = mean_of(taught[: len(of_form)]), mean_of(taught[len(of_form) :])
    student = _fit_student(design, inputs, teacher_of_form, teacher_of_all, preset, seed)
    table = fit_curves(lambda homes: teacher_of_form.predict(design.transform(homes)[:, form]), inputs, preset.knots)
    return student, table


def _missing_row(design: FeatureTransformer, inputs: pd.DataFrame) -> Matrix:
    """The matrix of a home whose optional inputs are all missing, [width]."""
    row: Matrix = design.transform(form_only(inputs.iloc[:1]))[0]
    return row


def _mask(matrix: Matrix, missing: Matrix, optional: npt.NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
    """The matrix with each optional cell missing half the time."""
    hidden = (rng.random(matrix.shape) < MASKED_SHARE) & optional[None, :]
    return np.where(hidden, missing[None, :], matrix)


def _fit_student(
    design: FeatureTransformer, inputs: pd.DataFrame, of_form: Teacher, of_all: Teacher, preset: Preset, seed: int
) -> HistGradientBoostingRegressor:
    rng = np.random.default_rng(seed)
    form, missing = form_columns(design), _missing_row(design, inputs)
    full = [_at_other_areas(design, inputs, rng, own=n == 0) for n in range(preset.copies)]
    asked = [full[0], *(_mask(copy, missing, ~form, rng) if n % 2 else copy for n, copy in enumerate(full[1:]))]
    blank = [np.where(form[None, :], copy, missing[None, :]) for copy in full[:2]]
    answers = [*(of_all.predict(copy) for copy in asked), *(of_form.predict(copy[:, form]) for copy in blank)]
    weights = np.ones((len(answers), len(inputs)))
    weights[[0, len(asked)]] = OWN_AREA_WEIGHT
    student = HistGradientBoostingRegressor(
        learning_rate=0.12,
        max_iter=preset.rounds,
        max_leaf_nodes=STUDENT_LEAVES,
        min_samples_leaf=5,
        monotonic_cst=area_directions(design),
        early_stopping=False,
        random_state=seed,
    )
    student.fit(np.vstack([*asked, *blank]), np.concatenate(answers), sample_weight=weights.ravel())
    return student


def area_directions(design: FeatureTransformer) -> list[int]:
    """1 for columns that grow with the area, 0 for all others: the teacher knows better what a level is worth."""
    return [int(AREA in column.inputs()) for column in design.columns for _ in column.names()]


def _at_other_areas(design: FeatureTransformer, inputs: pd.DataFrame, rng: np.random.Generator, *, own: bool) -> Matrix:
    factor = np.ones(len(inputs)) if own else np.exp(rng.normal(0, OTHER_AREAS, len(inputs)))
    return design.transform(inputs.assign(**{AREA: (inputs[AREA] * factor).astype(np.float32)}))


# The best estimator of the table: extremely randomised trees and boosting on the absolute error, averaged.
#
# Neither monotone in the area nor quick enough to be asked by visitors; a student learns from it (see `distill`).


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


def fit_teacher(matrix: Matrix, log_prices: Prices, settings: TeacherSettings, preset: Preset, seed: int) -> Teacher:
    """The teacher of one set of inputs. It is never published, so its trees are free in every direction.

    Whatever joblib was told of cores and wherever this runs, it is one thread's work: threads add up in the order in
    which they end, a forest the estimates of its trees and a boosting its gradients, and the last digit then differs
    from run to run.
    """
    forest = ExtraTreesRegressor(
        preset.trees,
        min_samples_leaf=settings.forest_leaf,
        max_features=settings.forest_features,
        random_state=seed,
        n_jobs=1,
    )
    boosting = HistGradientBoostingRegressor(
        loss="absolute_error",
        learning_rate=settings.boosting_rate,
        max_iter=preset.rounds,
        max_leaf_nodes=settings.boosting_leaves,
        min_samples_leaf=10,
        early_stopping=False,
        random_state=seed,
    )
    shares = (settings.forest_share, 1 - settings.forest_share)
    with threadpool_limits(limits=1):
        fitted = [one.fit(matrix, log_prices) for one in (forest, boosting)]
    return Teacher(tuple(zip(shares, fitted, strict=True)))


def form_columns(design: FeatureTransformer) -> npt.NDArray[np.bool_]:
    """Which columns of the matrix read the form's fields only."""
    optional = set(OPTIONAL)
    return np.array([not column.inputs() & optional for column in design.columns for _ in column.names()])
