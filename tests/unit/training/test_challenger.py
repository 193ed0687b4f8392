"""The gate before traffic."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from homeprices.data.preparation import BY_TIME, SALT, Holdout
from homeprices.errors import PublicationRefused
from homeprices.training.challenger import (
    LEAST_UNSEEN,
    bootstrap_difference,
    compare_with_champion,
    has_same_predictions,
)
from tests.support.bundles import LOCATION_LEVELS, make_bundle, make_draft, make_place_prices, price

KEYS = [name.lower() for name in LOCATION_LEVELS]


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
        draft, make_bundle(tmp_path / "BO1", "BO1", factor=production), Holdout(rows)
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
        compare_with_champion(make_draft(tmp_path / "draft"), production, Holdout(rows))


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


CUT = date(2026, 1, 1)


def dated(rows: pd.DataFrame, level: float) -> Holdout:
    """The hold-out, listed when all levels are `level` times those of its first day."""
    listed = rows.assign(listed_on=["2026-02-01" if n % 4 else "2026-03-01" for n in range(len(rows))])
    return Holdout(listed.assign(price=rows["price"] * level, time_factor=level), make_place_prices(CUT))


def with_rule(folder: Path, rule: str) -> Path:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["dataset"]["holdout"] = rule
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_models_of_different_bases_are_compared_at_the_days_of_the_listings(tmp_path: Path, rows: pd.DataFrame) -> None:
    """Production learned prices a fifth lower, at the levels of then, which its place prices make up for."""
    then = make_place_prices(date(2025, 7, 1), city=0.8, region=0.8, **dict.fromkeys(KEYS, 0.8))
    new = make_bundle(tmp_path / "CO1", "CO1", place_prices=make_place_prices(CUT))
    old = with_rule(make_bundle(tmp_path / "BO1", "BO1", factor=0.8, place_prices=then), f"{BY_TIME}2025-07-01")
    found = compare_with_champion(new, old, dated(rows, 1.3))
    assert found.same and found.form.candidate == pytest.approx(found.form.production, rel=1e-3)
    assert found.form.candidate < 0.1
    assert has_same_predictions(new, old, dated(rows, 1.3))
    plain = with_rule(make_bundle(tmp_path / "BO2", "BO2"), f"{BY_TIME}2025-07-01")
    behind = compare_with_champion(new, plain, dated(rows, 1.3))
    assert behind.form.production > 0.2 > behind.form.candidate and not behind.form.clearly_worse


def test_production_with_a_later_hold_out_is_compared_on_the_homes_that_it_has_not_learned(
    tmp_path: Path, rows: pd.DataFrame
) -> None:
    candidate, production = make_draft(tmp_path / "draft", factor=1.1), make_bundle(tmp_path / "BO1", "BO1")
    found = compare_with_champion(candidate, with_rule(production, f"{BY_TIME}2026-02-15"), dated(rows, 1.0))
    assert found.form.homes == len(rows) // 4
    with pytest.raises(PublicationRefused, match="0 of 400 are in both, at least 50 are needed"):
        compare_with_champion(candidate, with_rule(production, f"{BY_TIME}2026-04-01"), dated(rows, 1.0))
    hashed = compare_with_champion(candidate, with_rule(production, SALT), dated(rows, 1.0))
    assert LEAST_UNSEEN <= hashed.form.homes < len(rows) // 4
    with pytest.raises(PublicationRefused, match="Publish a first model again"):
        compare_with_champion(candidate, with_rule(production, f"{BY_TIME}2026-01-01"), Holdout(rows))
