"""Diamonds: what a visitor may ask, what the table must hold, and a model that is trained on synthetic diamonds."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.data import contract
from homeprices.data.preparation import prepare
from homeprices.data.regions import region_of
from homeprices.data.schema import to_csv
from homeprices.data.synthetic import make_listings
from homeprices.errors import DatasetRefused, InvalidInput
from homeprices.model.presets import Preset
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.home import Home
from homeprices.pricing.manifest import DatasetReference
from homeprices.pricing.predictor import Predictor
from homeprices.training.bundle_builder import build_bundle
from inference import generated
from inference.backend.api.explain_routes import explanation_of

DIAMOND: dict[str, object] = {"carat": 1.0, "clarity": "VS1", "cut": "Ideal", "color": "F"}
TINY = Preset("quick", folds=2, repeats=1, trees=4, rounds=30, teachers=2, knots=12, copies=2, trials=0)


@pytest.fixture(scope="module", params=["boosting", "distilled"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model of synthetic diamonds."""
    prepared = prepare(contract.accept(to_csv(make_listings(1_500))).cleaned)
    dataset = DatasetReference(version=1, key="data/raw/train_V1.csv", sha256="a" * 64, rows=1_500, rows_used=1_500)
    out = tmp_path_factory.mktemp("draft")
    build_bundle(request.param, prepared, dataset=dataset, out=out, seed=3, git_revision="b" * 40, mlflow_run_id=None,
                 preset=TINY)  # fmt: skip
    return Predictor(Bundle.open_draft(out))


def test_more_carats_and_a_better_grade_cost_more(model: Predictor) -> None:
    variants: list[dict[str, object]] = [{}, {"carat": 1.5}, {"clarity": "IF"}, {"color": "J"}]
    price, heavier, flawless, yellow = (
        one.price for one in model.estimate([Home.parse(DIAMOND | v) for v in variants])
    )
    assert yellow < price < min(heavier, flawless)
    assert 1_500 < price < 12_000


def test_an_explanation_is_in_carats_and_dollars(model: Predictor) -> None:
    found = explanation_of(model, Home.parse(DIAMOND))
    assert {"dollars_per_carat", "typical_home"} <= found.keys()
    assert {*found["comparables"][0]} == {"place", "carat", "depth", "dollars_per_carat", "alike"}
    carat = next(one for one in found["reasons"] if one["input"] == "carat")
    assert carat["sentence"].startswith("1 carat, where diamonds of VS1 typically have 0.")


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"cut": "Square"}, {"cut": "must be one of Fair, Good, Very Good, Premium, Ideal"}),
        ({"carat": 11}, {"carat": "must be a number from 0.1 to 10 carats"}),
        ({"color": None}, {"color": "is required"}),
    ],
)
def test_a_wrong_diamond_is_refused(wrong: dict[str, object], problem: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as error:
        Home.parse(DIAMOND | wrong)
    assert error.value.fields == problem


def test_prices_in_cents_are_refused() -> None:
    rows = make_listings(300)
    rows["price"] = (rows["price"].astype(float) * 100).astype(str)
    with pytest.raises(DatasetRefused) as error:
        contract.accept(to_csv(rows))
    assert "prices in cents, not in dollars" in error.value.fields["price"]


def test_every_clarity_has_a_group_and_the_generated_files_are_fresh() -> None:
    assert [region_of(name) for name in ("IF", "vs1", "I1", "")] == ["clean", "slightly included", "general", "general"]
    assert generated.main(["--check"]) == 0, "run `make inputs`"
    assert "Diamond prices" in Path(generated.FORM).read_text(encoding="utf-8")
