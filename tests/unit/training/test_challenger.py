"""The gate before traffic."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from homeprices.errors import PublicationRefused
from homeprices.training.challenger import bootstrap_difference, compare_with_champion
from tests.support.bundles import make_bundle, make_draft, price


@pytest.fixture
def rows() -> pd.DataFrame:
    """Homes whose prices are what a bundle of factor 1 says, more or less."""
    rng = np.random.default_rng(1)
    homes = pd.DataFrame(
        {
            "total_sqft": rng.uniform(500, 4_000, 400).round(),
            "location": rng.choice(["Whitefield", "Indira Nagar", "Nowhere"], 400),
            "bhk": rng.integers(1, 5, 400).astype(float),
            "bath": 2.0,
            "balcony": np.nan,
            "area_type": "",
            "availability": "",
            "society": "",
        }
    )
    true = [price(area, place, int(bhk)) for area, place, bhk in homes[["total_sqft", "location", "bhk"]].to_numpy()]
    return homes.assign(price=np.array(true) * np.exp(rng.normal(0, 0.1, 400)))


def judged(tmp_path: Path, rows: pd.DataFrame, candidate: float, production: float) -> str | None:
    draft = make_draft(tmp_path / "draft", factor=candidate)
    return compare_with_champion(
        draft, make_bundle(tmp_path / "BO1", "BO1", factor=production), rows
    ).rejection_reason()


def test_a_candidate_that_is_clearly_worse_is_held_back_with_the_figures(tmp_path: Path, rows: pd.DataFrame) -> None:
    reason = judged(tmp_path, rows, candidate=1.3, production=1.0)
    assert reason is not None and "it is clearly worse than BO1: on 400 hold-out homes" in reason
    assert "with 95% confidence it is" in reason


@pytest.mark.parametrize("candidate", [0.99, 1.01, 1.002])
def test_a_candidate_that_is_about_as_good_goes_on_trial(tmp_path: Path, rows: pd.DataFrame, candidate: float) -> None:
    assert judged(tmp_path, rows, candidate, production=1.0) is None


def test_a_better_candidate_goes_on_trial(tmp_path: Path, rows: pd.DataFrame) -> None:
    assert judged(tmp_path, rows, candidate=1.0, production=1.3) is None


def test_a_candidate_whose_estimates_nobody_can_tell_apart_is_held_back(tmp_path: Path, rows: pd.DataFrame) -> None:
    reason = judged(tmp_path, rows, candidate=1.0005, production=1.0)
    assert reason is not None and "equal those of BO1" in reason


def test_production_that_knows_another_hold_out_is_never_scored(tmp_path: Path, rows: pd.DataFrame) -> None:
    production = make_bundle(tmp_path / "BO1", "BO1")
    manifest = json.loads((production / "manifest.json").read_text())
    manifest["dataset"]["holdout"] = "another"
    (production / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PublicationRefused, match="trained with the hold-out 'another'"):
        compare_with_champion(make_draft(tmp_path / "draft"), production, rows)


def test_the_pairs_make_small_differences_visible() -> None:
    """Errors differ far more between homes than between models; drawn apart, this difference would be lost."""
    errors = np.random.default_rng(1).exponential(0.2, 800)
    low, high = bootstrap_difference(errors + 0.01, errors)
    assert low == pytest.approx(0.01) and high == pytest.approx(0.01)
    apart = bootstrap_difference(np.random.default_rng(2).permutation(errors + 0.01), errors)
    assert apart[0] < 0 < apart[1]


def test_between_two_models_that_are_the_same_one_of_forty_is_called_clearly_worse() -> None:
    """The interval is of 95 %: its lower half is missed once in forty."""
    worse = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        common = rng.exponential(0.15, 300)
        mine, theirs = (common + rng.exponential(0.05, 300) for _ in range(2))
        worse += bootstrap_difference(mine, theirs, draws=150)[0] > 0
    assert worse <= 8
