"""The parameters of a training run, as Airflow passes them on."""

from __future__ import annotations

from typing import Any

import pytest

from homeprices.errors import InvalidInput
from homeprices.model.estimators import ESTIMATORS
from homeprices.workflows.training_options import TrainingOptions


def test_without_a_choice_everything_is_open() -> None:
    nothing = {"dataset": None, "preset": None, "seed": None, "estimators": None, "first_model": None}
    assert TrainingOptions.of(nothing) == TrainingOptions.of({}) == TrainingOptions()


def test_every_choice_is_read() -> None:
    found = TrainingOptions.of(
        {"dataset": 2, "preset": "full", "seed": 0, "estimators": " ridge,boosting , ", "first_model": "best"}
    )
    assert (found.dataset, found.preset, found.seed, found.first_model) == (2, "full", 0, "best")
    assert found.estimators == ("ridge", "boosting")


@pytest.mark.parametrize(
    ("name", "value"),
    [("dataset", 0), ("dataset", "two"), ("preset", "huge"), ("seed", -1), ("seed", 2**31), ("first_model", "worst")],
)
def test_a_choice_that_is_not_allowed_is_named_with_its_value(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=rf"{name}: .* \(not {value!r}\)"):
        TrainingOptions.of({name: value})


def names(*chosen: str, simple_only: bool = False) -> list[str]:
    return TrainingOptions(estimators=chosen).names(ESTIMATORS.values(), simple_only=simple_only)


def test_by_default_all_estimators_are_compared_or_the_simple_ones() -> None:
    assert names() == list(ESTIMATORS)
    assert names(simple_only=True) == [name for name, spec in ESTIMATORS.items() if spec.simple]


def test_chosen_estimators_keep_the_order_of_the_table() -> None:
    assert names("distilled", "linear") == ["linear", "distilled"]
    assert names("extra_trees", "ridge") == ["ridge", "extra_trees"], "one that is only compared beside another"


def test_an_estimator_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(InvalidInput, match=f"estimators: 'rigde' is not one of {', '.join(ESTIMATORS)}"):
        names("ridge", "rigde")


@pytest.mark.parametrize(("chosen", "simple_only"), [("extra_trees", False), ("boosting", True)])
def test_estimators_of_which_none_may_be_published_train_nothing(chosen: str, simple_only: bool) -> None:
    with pytest.raises(InvalidInput, match=f"may not publish {chosen}; choose at least one of linear, ridge"):
        names(chosen, simple_only=simple_only)
    assert names(chosen, "ridge", simple_only=simple_only) == [name for name in ESTIMATORS if name in (chosen, "ridge")]
