"""Distillation: accurate, slow teachers and a fast, monotone student that is fitted on their estimates.

The teacher of the form's four fields is a Gaussian process (`teachers.gaussian_process`). That of all inputs averages
extremely randomised trees and boosting on the absolute error, `preset.teachers` pairs. They are the most accurate
estimators, but neither monotone in the area nor fast, so they are never published. Estimates for listed kinds of homes
are stored as isotonic curves of the price over the area (`isotonic_curves`). A monotone boosting, the student, learns
the rest: all other homes, and homes described by more than the form.

The student is fitted on the teachers' estimates instead of prices, also for homes at other areas and with some optional
inputs missing. These targets have no noise, and their number is not limited.
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

from homeprices.model.feature_columns import Matrix, rounded_log
from homeprices.model.feature_matrix import FeatureEncoder, FeatureTransformer, Prices, form_only
from homeprices.model.isotonic_curves import FIT_FOR_CURVES, IsotonicCurves, PredictLogPrice, fit_curves
from homeprices.model.presets import Preset, TeacherSettings
from homeprices.model.teachers.gaussian_process import fit_process
from homeprices.pricing.inputs import AREA, OPTIONAL

MASKED_SHARE = 0.5
OTHER_AREAS = 0.25
"""Standard deviation, in log area, of the shifted copies of a training home that the student learns from."""

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
) -> tuple[Any, IsotonicCurves | None]:
    """Return (student on all features, isotonic curves on the form's inputs if they fit), fitted on training rows.

    `matrix` holds the cross-fitted features of `inputs`. Trees are fitted on it, so that they weigh encodings by their
    accuracy on unseen rows. Predictions, and the student, use the encodings of all rows. Cross-fitted encodings
    depend on the split into folds, so `preset.teachers` teachers use one split each and share the forest's trees among
    them. Their predictions are averaged.
    """
    rng = np.random.default_rng(seed)
    form = form_columns(design)
    missing = _missing_row(design, inputs)
    others = [encoding.fit_transform(inputs, prices, seed + number)[1] for number in range(1, preset.teachers)]
    matrices = [matrix, *others]
    once = rounded_log(prices)
    twice = np.tile(once, 2)
    of_all = [(np.vstack([one, _mask(one, missing, ~form, rng)]), twice) for one in matrices]
    of_form = [] if FIT_FOR_CURVES else [(one[:, form], once) for one in matrices]
    shared = replace(preset, trees=math.ceil(preset.trees / preset.teachers))
    trees = Parallel()(delayed(fit_teacher)(*task, settings, shared, seed) for task in [*of_all, *of_form])
    teacher_of_all, by_form = mean_of(trees[: len(of_all)]), price_by_form(design, trees[len(of_all) :], inputs, once)
    # The student and the curves are fitted on the same teachers, independently of each other.
    fitted = [delayed(_fit_student)(design, inputs, by_form, teacher_of_all, preset, seed)]
    if FIT_FOR_CURVES:
        fitted.append(delayed(fit_curves)(by_form, inputs, preset.knots))
    student, *curves = Parallel()(fitted)
    return student, curves[0] if curves else None


def price_by_form(
    design: FeatureTransformer, trees: Sequence[Teacher], inputs: pd.DataFrame, log_prices: Prices
) -> PredictLogPrice:
    """Return the teacher of the form's fields: the mean of trees, or a Gaussian process of the homes without any."""
    if not trees:
        return fit_process(inputs, log_prices).predict
    mean, form = mean_of(trees), form_columns(design)
    return lambda homes: mean.predict(design.transform(homes)[:, form])


def _missing_row(design: FeatureTransformer, inputs: pd.DataFrame) -> Matrix:
    """The features of a home whose optional inputs are all missing, [width]."""
    row: Matrix = design.transform(form_only(inputs.iloc[:1]))[0]
    return row


def _mask(matrix: Matrix, missing: Matrix, optional: npt.NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
    """The matrix with a random half of the optional cells missing."""
    hidden = (rng.random(matrix.shape) < MASKED_SHARE) & optional[None, :]
    return np.where(hidden, missing[None, :], matrix)


def _fit_student(
    design: FeatureTransformer,
    inputs: pd.DataFrame,
    by_form: PredictLogPrice,
    of_all: Teacher,
    preset: Preset,
    seed: int,
) -> HistGradientBoostingRegressor:
    rng = np.random.default_rng(seed)
    form, missing = form_columns(design), _missing_row(design, inputs)
    homes = [_at_other_areas(inputs, rng, own=n == 0) for n in range(preset.copies)]
    full = [design.transform(copy) for copy in homes]
    described = [full[0], *(_mask(copy, missing, ~form, rng) if n % 2 else copy for n, copy in enumerate(full[1:]))]
    blank = [np.where(form[None, :], copy, missing[None, :]) for copy in full[:2]]
    answers = [*(of_all.predict(copy) for copy in described), *(by_form(copy) for copy in homes[:2])]
    weights = np.ones((len(answers), len(inputs)))
    weights[[0, len(described)]] = OWN_AREA_WEIGHT
    student = HistGradientBoostingRegressor(
        learning_rate=0.12,
        max_iter=preset.rounds,
        max_leaf_nodes=STUDENT_LEAVES,
        min_samples_leaf=5,
        monotonic_cst=area_directions(design),
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(limits=1):  # as in `fit_teacher`
        student.fit(np.vstack([*described, *blank]), np.concatenate(answers), sample_weight=weights.ravel())
    return student


def area_directions(design: FeatureTransformer) -> list[int]:
    """Monotonic constraints: on columns that grow with the area only.

    Encodings are unconstrained, as in the teacher.
    """
    return [int(AREA in column.inputs()) for column in design.columns for _ in column.names()]


def _at_other_areas(inputs: pd.DataFrame, rng: np.random.Generator, *, own: bool) -> pd.DataFrame:
    factor = np.ones(len(inputs)) if own else np.exp(rng.normal(0, OTHER_AREAS, len(inputs)))
    return inputs.assign(**{AREA: (inputs[AREA] * factor).astype(np.float32)})


@dataclass(frozen=True)
class Teacher:
    """Fitted regressors with their weights in the mean of log prices."""

    members: tuple[tuple[float, Any], ...]

    def predict(self, matrix: Matrix) -> Prices:
        """Log prices, [N]."""
        return np.asarray(sum(share * np.asarray(member.predict(matrix)) for share, member in self.members))


def mean_of(teachers: Sequence[Teacher]) -> Teacher:
    """One teacher that predicts the mean of these."""
    return Teacher(tuple((share / len(teachers), one) for teacher in teachers for share, one in teacher.members))


def fit_teacher(matrix: Matrix, log_prices: Prices, settings: TeacherSettings, preset: Preset, seed: int) -> Teacher:
    """Return a teacher fitted on one matrix, without monotonic constraints.

    One thread only, whatever joblib is configured to use: parallel summation, of a forest's trees and of a boosting's
    gradients, makes the last digit depend on scheduling.
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
    """A mask of the columns that read the form's fields only, [width]."""
    optional = set(OPTIONAL)
    return np.array([not column.inputs() & optional for column in design.columns for _ in column.names()])
