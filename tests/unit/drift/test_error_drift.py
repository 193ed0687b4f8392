import math

import numpy as np
import pytest

from homeprices.drift.error_drift import ALPHA, Holdout, error_drift, estimated_error, log_evidence

HOLDOUT = Holdout(median_ape=0.2, coverage=0.9, log_width=0.8)


def prices(count: int, seed: int, *, spread: float = 0.2965) -> list[tuple[float, float, float, float]]:
    """Log-normal errors: with a spread of 0.2965 their median is about 20 %; the interval holds nine in ten."""
    chance = np.random.default_rng(seed)
    actual = chance.lognormal(4, 0.5, count)
    estimate = actual * np.exp(chance.normal(0, spread, count))
    return [(a, e, e * math.exp(-0.49), e * math.exp(0.49)) for a, e in zip(actual, estimate, strict=True)]


def test_the_evidence_is_the_integral_over_all_shares_above_the_null() -> None:
    """Seven hits in ten against 0.55, by numerical integration of the likelihood ratio over (0.55, 1)."""
    hits = np.array([True] * 7 + [False] * 3)
    p = np.linspace(0.55, 1, 200_001)
    ratio = (p / 0.55) ** 7 * ((1 - p) / 0.45) ** 3
    expected = float(np.trapezoid(ratio, p)) / 0.45
    assert float(log_evidence(hits, 0.55)[-1]) == pytest.approx(math.log(expected), rel=1e-6)


def test_without_drift_it_hardly_ever_alarms_however_often_it_is_looked_at() -> None:
    assert not any(error_drift(prices(1000, seed), HOLDOUT).drift for seed in range(30))


def test_at_the_edge_of_what_is_no_drift_it_keeps_its_rate() -> None:
    """Hits of exactly 0.55: of 400 sequences of 500 looks at most one in a hundred may ever reach 100."""
    chance = np.random.default_rng(1)
    reached = sum(log_evidence(chance.random(500) < 0.55, 0.55).max() >= -math.log(ALPHA) for _ in range(400))
    assert reached <= 400 * ALPHA


@pytest.mark.parametrize("seed", range(5))
def test_an_error_that_has_doubled_is_found_within_a_few_hundred_prices(seed: int) -> None:
    found = error_drift(prices(300, seed, spread=0.593), HOLDOUT)
    assert (found.drift, found.p_value < ALPHA) == (True, True)
    assert "the error has grown" in found.sentence


def test_smaller_errors_are_no_drift() -> None:
    assert not error_drift(prices(2000, 1, spread=0.1), HOLDOUT).drift


def test_what_was_once_found_stays_found_as_more_prices_come() -> None:
    bad, good = prices(300, 1, spread=0.8), prices(3000, 2, spread=0.1)
    assert error_drift(bad + good, HOLDOUT).drift


def test_an_overwhelming_error_has_a_finite_evidence() -> None:
    found = error_drift([(1.0, 100.0, 90.0, 110.0)] * 5000, HOLDOUT)
    assert (found.drift, math.isfinite(found.e_value)) == (True, True)


def test_without_prices_the_widths_of_the_intervals_give_an_estimate_that_says_so() -> None:
    found = error_drift([], HOLDOUT, [1.6, 1.6, 1.6])
    assert found.estimated_median_ape == pytest.approx(0.4)
    assert (found.drift, found.prices, found.median_ape) == (False, 0, None)
    assert "This is an estimate, not a measurement" in found.sentence


def test_without_prices_and_estimates_nothing_is_said_of_the_error() -> None:
    assert error_drift([], HOLDOUT).sentence == (
        "No actual price is known, and no estimate was given: nothing can be said of the error."
    )
    assert estimated_error(HOLDOUT.model_copy(update={"log_width": 0.0}), [1.0]) is None
