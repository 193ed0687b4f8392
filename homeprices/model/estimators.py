"""The table of estimators. All predict the log price, so that an error of 10 % weighs the same for every home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from homeprices.errors import InvalidInput
from homeprices.model.feature_matrix import FeatureEncoder
from homeprices.model.features_by_estimator import ONE_HOT, TARGET_ENCODED, TARGET_ENCODED_FILLED
from homeprices.model.presets import Preset, TeacherSettings

STACKING_FOLDS = 2

# (seed, monotonic constraints of the features, preset) -> an unfitted scikit-learn regressor
Build = Callable[[int, list[int], Preset], Any]


@dataclass(frozen=True)
class EstimatorSpec:
    """One row of the table. `build` is None for the distilled model, which `distill` fits.

    `simple`: linear in log price and log area. `monotone`: more area never lowers the price, by construction. Those
    that are not monotone are trained for comparison and never published, because validation would reject them.
    """

    name: str
    title: str
    encoding: FeatureEncoder
    build: Build | None
    simple: bool = False
    monotone: bool = True


def _linear(build: Callable[[], Any]) -> Build:
    return lambda _seed, _directions, _preset: build()


def _forest(kind: Callable[..., Any], **settings: Any) -> Build:
    # One job, even if joblib is configured for more: threads sum up the trees in the order in which they finish, so the
    # same seed would give another model.
    return lambda seed, _directions, preset: kind(preset.trees, random_state=seed, n_jobs=1, **settings)


def _boosting(loss: str) -> Build:
    return lambda seed, directions, preset: HistGradientBoostingRegressor(
        loss=loss,
        learning_rate=0.1,
        max_iter=preset.rounds,
        min_samples_leaf=15,
        monotonic_cst=directions,
        early_stopping=False,
        random_state=seed,
    )


def _members(seed: int, directions: list[int], preset: Preset) -> list[tuple[str, Any]]:
    """The members of the ensembles: three estimators with different kinds of errors."""
    return [
        ("boosting", _boosting("absolute_error")(seed, directions, preset)),
        ("forest", _EXTRA_TREES(seed, directions, preset)),
        ("ridge", make_pipeline(StandardScaler(), Ridge(alpha=2.0))),
    ]


def _voting(seed: int, directions: list[int], preset: Preset) -> Any:
    return VotingRegressor(_members(seed, directions, preset), weights=[4, 5, 1])


def _stacking(seed: int, directions: list[int], preset: Preset) -> Any:
    return StackingRegressor(_members(seed, directions, preset), LinearRegression(positive=True), cv=STACKING_FOLDS)


_EXTRA_TREES = _forest(ExtraTreesRegressor, min_samples_leaf=2, max_features=0.6)

_TABLE = (
    EstimatorSpec("linear", "Linear regression", ONE_HOT, _linear(LinearRegression), simple=True),
    EstimatorSpec("ridge", "Ridge regression", ONE_HOT, _linear(lambda: Ridge(alpha=2.0)), simple=True),
    EstimatorSpec("lasso", "Lasso", ONE_HOT, _linear(lambda: Lasso(alpha=2e-4, max_iter=2000, tol=1e-3)), simple=True),
    EstimatorSpec(
        "decision_tree",
        "Decision tree",
        TARGET_ENCODED_FILLED,
        lambda seed, _directions, _preset: DecisionTreeRegressor(min_samples_leaf=15, random_state=seed),
        monotone=False,
    ),
    EstimatorSpec(
        "random_forest",
        "Random forest",
        TARGET_ENCODED_FILLED,
        _forest(RandomForestRegressor, min_samples_leaf=3, max_features=0.5),
        monotone=False,
    ),
    EstimatorSpec("extra_trees", "Extremely randomised trees", TARGET_ENCODED_FILLED, _EXTRA_TREES, monotone=False),
    EstimatorSpec("boosting", "Gradient boosting on the squared error", TARGET_ENCODED, _boosting("squared_error")),
    # Not monotone: scikit-learn sets the leaves of this loss to medians after growing the tree, without the constraint.
    EstimatorSpec(
        "boosting_absolute",
        "Gradient boosting on the absolute error",
        TARGET_ENCODED,
        _boosting("absolute_error"),
        monotone=False,
    ),
    EstimatorSpec("voting", "Mean of boosting, extra trees and ridge", TARGET_ENCODED_FILLED, _voting, monotone=False),
    EstimatorSpec("stacking", "The same three, stacked", TARGET_ENCODED_FILLED, _stacking, monotone=False),
    EstimatorSpec(
        "distilled", "Gaussian process and trees, distilled into a monotone student", TARGET_ENCODED_FILLED, None
    ),
)


def parameters(name: str, seed: int, preset: Preset) -> dict[str, str | int | float | bool]:
    """The parameters of an estimator, as logged in MLflow: the sizes of the preset and its own hyperparameters."""
    build = estimator(name).build
    settings = build(seed, [], preset).get_params() if build else asdict(TeacherSettings())
    plain = {key: value for key, value in settings.items() if isinstance(value, str | int | float | bool)}
    return {
        "estimator": name,
        "seed": seed,
        **{f"preset.{key}": value for key, value in asdict(preset).items()},
    } | plain


ESTIMATORS = {spec.name: spec for spec in _TABLE}


def estimator(name: str) -> EstimatorSpec:
    """The estimator of this name. Raises InvalidInput that lists the known ones."""
    if name not in ESTIMATORS:
        raise InvalidInput({"estimator": f"{name} is not one of {', '.join(ESTIMATORS)}"})
    return ESTIMATORS[name]
