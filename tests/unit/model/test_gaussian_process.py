"""The Gaussian process is the textbook's, in less time: its parts, its robustness, and what it must not depend on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from homeprices.model.teachers import gaussian_process
from homeprices.model.teachers.gaussian_process import (
    ALIKE,
    ALIKE_SCALE,
    JITTER,
    LEVEL,
    NAME,
    NOISE,
    PLACE,
    PLACE_SIZE,
    PLACE_SIZE_SCALE,
    SIZE,
    SIZE_SCALE,
    fit_process,
)
from homeprices.pricing.inputs import COUNTS

PLACES = ("JP Nagar", "JP Nagar Phase 2", "Whitefield", "Hebbal", "other")


def homes(number: int, places: tuple[str, ...] = PLACES, seed: int = 3) -> pd.DataFrame:
    """Model inputs of random homes."""
    rng = np.random.default_rng(seed)
    frame: dict[str, Any] = {"location": rng.choice(places, number).astype(object)}
    frame["total_sqft"] = rng.uniform(500, 4_000, number).round().astype(np.float32)
    return pd.DataFrame(frame | {name: rng.integers(1, 5, number).astype(np.float32) for name in COUNTS})


def prices_of(inputs: pd.DataFrame, seed: int = 4) -> npt.NDArray[np.float64]:
    """Log prices that grow with the area, with a level of each place and a small error."""
    level = inputs["location"].map({name: 0.3 * number for number, name in enumerate(PLACES)}).fillna(0.0)
    errors = np.random.default_rng(seed).normal(0, 0.1, len(inputs))
    return np.asarray(np.log(inputs["total_sqft"].to_numpy(np.float64)) + level.to_numpy() + errors)


def squared_exponential(left: pd.DataFrame, right: pd.DataFrame, area: float, counts: float) -> npt.NDArray[np.float64]:
    exponent = np.zeros((len(left), len(right)))
    for name, scale in (("total_sqft", area), *((name, counts) for name in COUNTS)):
        logs = [np.log(inputs[name].to_numpy(np.float64)) for inputs in (left, right)]
        exponent += ((logs[0][:, None] - logs[1][None, :]) / scale) ** 2
    return np.asarray(np.exp(-exponent / 2))


def test_its_predictions_are_those_of_the_whole_covariance_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_process, "REWEIGHTINGS", 0)
    monkeypatch.setattr(gaussian_process, "SIZE_POINTS", 10_000)  # every size, so that nothing is approximated
    known, asked = homes(120), homes(40, (*PLACES, "Hosur"), seed=9)
    log_prices = prices_of(known)
    process = fit_process(known, log_prices)
    components = gaussian_process._name_components(known["location"].to_numpy())

    def covariance(left: pd.DataFrame, right: pd.DataFrame) -> npt.NDArray[np.float64]:
        of_size, of_place_size, of_alike = (
            squared_exponential(left, right, *scales) for scales in (SIZE_SCALE, PLACE_SIZE_SCALE, ALIKE_SCALE)
        )
        words = [np.array([components.get(name, components["other"]) for name in inputs["location"]])
                 for inputs in (left, right)]  # fmt: skip
        same = left["location"].to_numpy()[:, None] == right["location"].to_numpy()[None, :]
        city = LEVEL + SIZE * of_size + NAME * words[0] @ words[1].T
        return np.asarray(city + same * (PLACE + PLACE_SIZE * of_place_size + ALIKE * of_alike))

    noisy = covariance(known, known) + NOISE * np.eye(len(known))
    weights = np.linalg.solve(noisy, log_prices - log_prices.mean())
    expected = log_prices.mean() + covariance(asked, known) @ weights
    assert JITTER < 1e-5
    np.testing.assert_allclose(process.predict(asked), expected, atol=2e-3)


def test_it_depends_on_no_order_of_rows_and_asks_any_number_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known, asked = homes(200), homes(50, seed=9)
    log_prices = prices_of(known)
    order = np.random.default_rng(5).permutation(len(known))
    found = fit_process(known, log_prices).predict(asked)
    np.testing.assert_array_equal(fit_process(known.iloc[order], log_prices[order]).predict(asked), found)
    monkeypatch.setattr(gaussian_process, "HOMES_AT_ONCE", 7)
    np.testing.assert_array_equal(fit_process(known, log_prices).predict(asked), found)
    assert fit_process(known, log_prices).predict(asked.iloc[:0]).shape == (0,)


def test_a_wrong_price_moves_the_estimates_of_its_place_little(monkeypatch: pytest.MonkeyPatch) -> None:
    known, asked = homes(200), homes(50, seed=9)
    right = prices_of(known)
    wrong = right.copy()
    wrong[np.flatnonzero(known["location"] == "Hebbal")[:3]] += np.log(100)  # rupees in place of thousands, say
    of_hebbal = asked["location"] == "Hebbal"

    def moved() -> float:
        before, after = (fit_process(known, log_prices).predict(asked[of_hebbal]) for log_prices in (right, wrong))
        return float(np.abs(after - before).mean())

    robust = moved()
    monkeypatch.setattr(gaussian_process, "REWEIGHTINGS", 0)
    assert robust < 0.05 < moved() / 4


def test_a_place_with_few_homes_learns_from_places_with_a_like_name() -> None:
    known = homes(300, ("JP Nagar", "Whitefield", "Hebbal", "Hosur Road"))
    log_prices = np.log(known["total_sqft"].to_numpy(np.float64)) + 0.8 * (known["location"] == "JP Nagar")
    rare = homes(2, ("JP Nagar Phase 2",), seed=6), homes(2, ("Kengeri",), seed=6)
    both = pd.concat([known, *rare], ignore_index=True)
    of_rare = [np.log(some["total_sqft"].to_numpy(np.float64)) + 0.4 for some in rare]
    process = fit_process(both, np.concatenate([log_prices, *of_rare]))
    asked = homes(30, ("Kengeri",), seed=8)
    alike = process.predict(asked.assign(location="JP Nagar Phase 2")) - process.predict(asked)
    assert alike.min() > 0.02, "their own two homes are the same"


def test_a_place_that_it_does_not_know_costs_what_the_city_costs() -> None:
    known = homes(300)
    process = fit_process(known, prices_of(known))
    asked = homes(20, ("Nowhere",), seed=8)
    middle = np.median([process.predict(asked.assign(location=name)) for name in PLACES], axis=0)
    assert np.abs(process.predict(asked) - middle).mean() < 0.5


def test_a_large_place_is_represented_by_an_even_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    known, asked = homes(400, PLACES[2:4]), homes(50, PLACES[2:4], seed=9)
    whole = fit_process(known, prices_of(known)).predict(asked)
    monkeypatch.setattr(gaussian_process, "MOST_HOMES_A_PLACE", 100)
    selected = fit_process(known, prices_of(known))
    assert {len(weights) for _, weights in selected.places.values()} == {100}
    assert np.abs(selected.predict(asked) - whole).mean() < 0.05
    order = np.random.default_rng(5).permutation(len(known))
    again = fit_process(known.iloc[order], prices_of(known)[order])
    np.testing.assert_array_equal(again.predict(asked), selected.predict(asked))


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_few_homes_with_one_price_are_enough(number: int) -> None:
    known = homes(number)
    found = fit_process(known, np.full(number, 4.0)).predict(homes(10, seed=9))
    np.testing.assert_allclose(found, 4.0)
