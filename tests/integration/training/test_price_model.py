"""The distilled model, which is the one that is published."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeprices.model import distillation, price_model
from homeprices.model.distillation import Teacher, fit_teacher
from homeprices.model.estimators import ESTIMATORS, estimator
from homeprices.model.feature_columns import Matrix
from homeprices.model.feature_matrix import Prices
from homeprices.model.fitting import fit
from homeprices.model.presets import Preset, TeacherSettings
from homeprices.model.price_model import PriceModel
from tests.integration.training.conftest import SEED, TINY, encoded, run_graph

Split = tuple[pd.DataFrame, pd.DataFrame]


@pytest.mark.parametrize("form", [True, False])
def test_the_graph_gives_every_price_and_bound_of_the_model(distilled: PriceModel, split: Split, form: bool) -> None:
    expected = distilled.estimate(encoded(distilled, split[1], form=form))
    found = run_graph(distilled, split[1], form=form)
    for name in ("price", "low", "high"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-4)


def test_a_home_is_priced_by_few_operators_each_of_which_costs_more_than_its_arithmetic(distilled: PriceModel) -> None:
    assert len(distilled.to_onnx().graph.node) <= 43


class Flagging:
    """Predicts these numbers after a step that sets the processor's flag of an invalid operation, as OpenBLAS may."""

    def __init__(self, first: float) -> None:
        self.first = first

    def predict(self, matrix: Matrix) -> Prices:
        assert np.isnan(np.subtract(np.inf, np.inf))
        return np.array([self.first, *[4.0] * (len(matrix) - 1)])


def test_a_price_that_is_not_finite_is_refused_and_a_mere_flag_of_the_processor_is_not(
    distilled: PriceModel, split: Split
) -> None:
    inputs = encoded(distilled, split[1], form=False)
    finite = replace(distilled, regressor=Flagging(4.0), curves=None, bias_correction=0.0)
    np.testing.assert_allclose(finite.predict(inputs), np.exp(4.0))
    with pytest.raises(ValueError, match=f"distilled gives 1 of {len(inputs)} homes a price that is not finite"):
        replace(finite, regressor=Flagging(np.nan)).predict(inputs)


def test_a_described_home_is_priced_by_the_student_and_one_of_the_form_by_its_curve(
    distilled: PriceModel, split: Split
) -> None:
    unlike = fit(estimator("distilled"), split[0], SEED, TINY)
    assert unlike.curves is not None
    unlike.curves.curves[:] = np.log(1234.0)
    form, full = (encoded(distilled, split[0], form=form) for form in (True, False))
    assert np.isclose(unlike.predict(form), 1234.0, rtol=1e-4).mean() > 0.9
    np.testing.assert_allclose(unlike.predict(full), replace(distilled, bias_correction=0.0).predict(full))


def test_each_teacher_learns_from_a_division_of_its_own_and_they_share_a_forests_trees(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[tuple[Matrix, int]] = []

    def recording(matrix: Matrix, log_prices: Prices, settings: TeacherSettings, preset: Preset, seed: int) -> Teacher:
        fitted.append((matrix, preset.trees))
        return fit_teacher(matrix, log_prices, settings, preset, seed)

    monkeypatch.setattr(distillation, "fit_teacher", recording)
    fit(estimator("distilled"), split[0], SEED, TINY)
    (one, _), (other, _) = fitted
    assert [trees for _, trees in fitted] == [TINY.trees // 2] * 2
    assert not np.array_equal(one, other, equal_nan=True)
    assert len(one) == 2 * len(split[0])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    home=st.integers(0, 10_000),
    area_type=st.sampled_from(["", "Plot Area", "Super built-up Area"]),
    balcony=st.sampled_from([np.nan, 0.0, 2.0]),
    known_society=st.booleans(),
    bhk=st.integers(1, 12),
)
def test_more_area_never_costs_less_whatever_else_is_said(
    distilled: PriceModel, split: Split, home: int, area_type: str, balcony: float, known_society: bool, bhk: int
) -> None:
    one = (
        split[0]
        .iloc[[home % len(split[0])] * 120]
        .assign(total_sqft=np.geomspace(150, 90_000, 120), area_type=area_type, balcony=balcony, bhk=float(bhk))
    )
    if not known_society:
        one = one.assign(society="")
    prices = distilled.predict(encoded(distilled, one, form=False))
    assert (prices[1:] >= prices[:-1] * (1 - 1e-6)).all()


def test_the_same_seed_gives_the_same_model_and_another_seed_another(distilled: PriceModel, split: Split) -> None:
    same, other = (fit(estimator("distilled"), split[0], seed, TINY) for seed in (SEED, SEED + 1))
    expected = replace(distilled, bias_correction=0.0).predict(encoded(distilled, split[1], form=True))
    np.testing.assert_array_equal(same.predict(encoded(same, split[1], form=True)), expected)
    assert not np.allclose(other.predict(encoded(other, split[1], form=True)), expected)


def test_a_model_is_written_and_read_without_a_pickle(distilled: PriceModel, split: Split, tmp_path: Path) -> None:
    price_model.save(distilled, tmp_path / "model.skops")
    read = price_model.load(tmp_path / "model.skops")
    for form in (True, False):
        inputs = encoded(distilled, split[1], form=form)
        expected, found = distilled.estimate(inputs), read.estimate(inputs)
        np.testing.assert_array_equal(found.low, expected.low)
        np.testing.assert_array_equal(found.price, expected.price)


def test_a_model_without_intervals_says_so(split: Split) -> None:
    model = fit(estimator("ridge"), split[0], SEED, TINY)
    with pytest.raises(ValueError, match="ridge was fitted without intervals"):
        model.estimate(encoded(model, split[1], form=True))


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "distilled"])
def test_every_estimator_of_the_table_prices_every_home(split: Split, name: str) -> None:
    model = fit(estimator(name), split[0], SEED, TINY)
    for form in (True, False):
        prices = model.predict(encoded(model, split[1], form=form))
        assert np.isfinite(prices).all() and (prices > 0).all()
