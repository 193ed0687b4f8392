"""The search for settings, here with joblib's threads in the place of other machines."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from joblib import parallel_config, register_parallel_backend  # type: ignore[import-untyped]
from joblib._parallel_backends import ThreadingBackend  # type: ignore[import-untyped]

from homeprices.model.estimators import estimator
from homeprices.model.feature_matrix import learn_locations, model_inputs
from homeprices.model.features_by_estimator import TARGET_ENCODED_FILLED
from homeprices.model.fitting import fit
from homeprices.model.hyperparameters import FOLDS, SPACE, TeacherOfAll, search_hyperparameters
from homeprices.model.presets import TeacherSettings
from homeprices.training.cross_validation import cross_validate
from tests.integration.training.conftest import SEED, TINY

SEARCHING = replace(TINY, trials=3)
TWICE = replace(TINY, repeats=2)


def inputs_of(rows: pd.DataFrame) -> pd.DataFrame:
    return model_inputs(rows, learn_locations(rows, TARGET_ENCODED_FILLED.min_listings))


def test_without_trials_the_settings_are_the_default_ones(rows: pd.DataFrame) -> None:
    assert (
        search_hyperparameters(TARGET_ENCODED_FILLED, inputs_of(rows), rows["price"].to_numpy(), TINY, SEED)
        == TeacherSettings()
    )


def test_the_defaults_stand_in_the_space_first_and_are_the_same_everywhere() -> None:
    assert TeacherSettings(**{name: values[0] for name, values in SPACE.items()}) == TeacherSettings()
    assert TeacherOfAll(TARGET_ENCODED_FILLED, TINY, SEED).settings() == TeacherSettings()


def test_what_a_search_scores_knows_all_inputs(rows: pd.DataFrame) -> None:
    inputs, prices = inputs_of(rows.head(400)), rows.head(400)["price"].to_numpy()
    teacher = TeacherOfAll(TARGET_ENCODED_FILLED, TINY, SEED).fit(inputs, np.log(prices))
    assert not np.allclose(teacher.predict(inputs), teacher.predict(inputs.assign(society="", area_type="")))


def test_a_search_finds_settings_of_the_space_and_the_same_on_any_number_of_cores(rows: pd.DataFrame) -> None:
    few = rows.head(400)
    given = (TARGET_ENCODED_FILLED, inputs_of(few), few["price"].to_numpy(), SEARCHING, SEED)
    alone = search_hyperparameters(*given)
    assert all(getattr(alone, name) in values for name, values in SPACE.items())
    with parallel_config(backend="threading", n_jobs=2):
        assert search_hyperparameters(*given) == alone


class Elsewhere(ThreadingBackend):  # type: ignore[misc]
    """A back end as Dask's and Ray's register themselves with joblib, which counts what it is sent."""

    sent = 0

    def submit(self, func: Any, callback: Any = None) -> Any:
        Elsewhere.sent += 1
        return super().submit(func, callback)


def test_a_back_end_that_is_registered_with_joblib_gets_the_folds_and_the_trials(rows: pd.DataFrame) -> None:
    register_parallel_backend("elsewhere", Elsewhere)
    few = rows.head(400)
    alone, _ = cross_validate("ridge", few, SEED, TWICE)
    with parallel_config(backend="elsewhere", n_jobs=2):
        sent, _ = cross_validate("ridge", few, SEED, TWICE)
        assert sent.folds == alone.folds and Elsewhere.sent == len(alone.folds) == TWICE.folds * TWICE.repeats
        search_hyperparameters(TARGET_ENCODED_FILLED, inputs_of(few), few["price"].to_numpy(), SEARCHING, SEED)
    assert Elsewhere.sent >= len(alone.folds) + SEARCHING.trials * FOLDS


def test_rows_are_split_again_for_each_repeat_and_once_for_an_unpublishable_estimator(rows: pd.DataFrame) -> None:
    few = rows.head(400)
    once, out_of_fold = cross_validate("ridge", few, SEED, TINY)
    twice, also = cross_validate("ridge", few, SEED, TWICE)
    assert twice.folds[: TINY.folds] == once.folds and len(twice.folds) == 2 * TINY.folds
    assert twice.folds[0] not in twice.folds[TINY.folds :] and twice.mean != once.mean
    np.testing.assert_array_equal(also.form, out_of_fold.form)
    compared, _ = cross_validate("decision_tree", few, SEED, TWICE)
    assert len(compared.folds) == TINY.folds


def test_the_folds_give_the_same_on_any_number_of_cores(rows: pd.DataFrame) -> None:
    one, out_of_fold = cross_validate("ridge", rows, SEED, TINY)
    with parallel_config(backend="threading", n_jobs=2):
        other, also = cross_validate("ridge", rows, SEED, TINY)
    assert one.folds == other.folds
    np.testing.assert_array_equal(out_of_fold.form, also.form)


def test_a_distilled_model_is_the_same_on_any_number_of_cores(split: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    spec = estimator("distilled")
    alone = fit(spec, split[0], SEED, TINY).to_onnx().SerializeToString(deterministic=True)
    with parallel_config(backend="threading", n_jobs=2):
        assert fit(spec, split[0], SEED, TINY).to_onnx().SerializeToString(deterministic=True) == alone
