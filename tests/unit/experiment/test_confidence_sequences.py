"""Sequential statistics: golden values of gbstats and confseq, and what happens when both variants are the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from homeprices.experiment.confidence_sequences import (
    always_valid_p,
    bounded_half_width,
    expected_loss,
    half_width,
    holm,
    normal_mixture,
)

# growthbook/growthbook, packages/stats/tests/frequentist/test_tests.py: stat_a has sum 1396.87, sum of squares
# 52377.9767, n 3000; stat_b 2422.7, 134698.29, 3461.
GBSTATS_DIFFERENCE, GBSTATS_DEVIATION, GBSTATS_N = 0.23437666666666668, 0.12983081254184736, 6461


def test_one_sided_bounds_are_those_of_gbstats() -> None:
    width = half_width(GBSTATS_DEVIATION**2, GBSTATS_N, alpha=0.05, expected=5000, one_sided=True)
    assert pytest.approx(-0.12656844172804982, abs=1e-12) == GBSTATS_DIFFERENCE - width
    assert pytest.approx(0.5953217750613832, abs=1e-12) == GBSTATS_DIFFERENCE + width


@pytest.mark.parametrize(
    ("estimate", "deviation", "tuned_at", "low", "high"),
    [(0.5033610858562358, 0.3334122146400735, 1000, -0.55844, 1.56516), (0.50386, 0.03386, 5000, 0.40098, 0.60675)],
)
def test_two_sided_bounds_are_those_of_gbstats(
    estimate: float, deviation: float, tuned_at: float, low: float, high: float
) -> None:
    width = half_width(deviation**2, GBSTATS_N, alpha=0.05, expected=tuned_at)
    assert (estimate - width, estimate + width) == (pytest.approx(low, abs=2e-5), pytest.approx(high, abs=2e-5))


def test_always_valid_p_is_that_of_gbstats_and_agrees_with_the_interval() -> None:
    assert always_valid_p(GBSTATS_DIFFERENCE, GBSTATS_DEVIATION**2, GBSTATS_N, alpha=0.05, expected=1000) == 1
    width = half_width(0.04, 400, alpha=0.05, expected=500)
    assert always_valid_p(width, 0.04, 400, alpha=0.05, expected=500) == pytest.approx(0.05, rel=1e-9)


def test_the_normal_mixture_is_that_of_confseq() -> None:
    """gostevehoward/confseq, test/uniform_boundaries_unittest.cpp, against a reference implementation in R."""
    assert normal_mixture(100.0, alpha=0.05, optimum=100) == pytest.approx(30.35209, abs=1e-5)


def test_the_one_sided_closed_bound_lies_just_above_the_boundary_of_confseq() -> None:
    rho = 100 / (-2 * math.log(0.1) + math.log(1 - 2 * math.log(0.1)))

    def log_martingale(total: float) -> float:
        v = 100 + rho
        return float(math.log(4 * rho / v) / 2 + total**2 / (2 * v) + norm.logcdf(total / math.sqrt(v)))

    exact = brentq(lambda total: log_martingale(total) - math.log(20), 1, 100)
    assert exact == pytest.approx(27.66071, abs=1e-4)
    assert exact < normal_mixture(100.0, alpha=0.05, optimum=100, one_sided=True) < 1.01 * exact


def test_without_a_unit_bounds_are_infinite() -> None:
    assert half_width(0.0, 0, alpha=0.05, expected=500) == math.inf
    assert bounded_half_width(0, spread=4.0, alpha=0.05, expected=500) == math.inf


def test_arrays_give_what_numbers_give() -> None:
    variances, samples = np.array([0.1, 0.02, 3e-9]), np.array([3, 500, 10**9])
    for one_sided in (True, False):
        together = half_width(variances, samples, alpha=0.01, expected=500, one_sided=one_sided)
        apart = [
            half_width(v, n, alpha=0.01, expected=500, one_sided=one_sided)
            for v, n in zip(variances, samples, strict=True)
        ]
        assert together.tolist() == pytest.approx(apart)


@given(st.floats(1e-6, 10), st.integers(1, 10**6), st.floats(1e-4, 0.4))
def test_more_of_the_same_narrows_and_a_stricter_rate_widens(variance: float, n: int, alpha: float) -> None:
    narrow = half_width(variance / n, n, alpha=alpha, expected=500)
    assert half_width(variance / (4 * n), 4 * n, alpha=alpha, expected=500) < narrow
    assert half_width(variance / n, n, alpha=alpha / 2, expected=500) > narrow


@pytest.mark.parametrize("bounded", [False, True])
def test_bounds_hold_at_all_of_a_thousand_looks_when_both_arms_are_the_same(bounded: bool) -> None:
    """How many of 2,000 sequences of equal means ever leave, over all looks from 30 on: at most alpha."""
    runs, looks, alpha = 2000, 1000, 0.05
    rng = np.random.default_rng(11)
    values = rng.choice([1.0, 2.0, 3.0, 4.0, 5.0], size=(runs, looks), p=[0.06, 0.10, 0.24, 0.33, 0.27]) - 3.65
    n = np.arange(1, looks + 1)
    mean = values.cumsum(axis=1) / n
    variance = np.maximum((values**2).cumsum(axis=1) / n - mean**2, 0.0)
    if bounded:
        width = np.broadcast_to(bounded_half_width(n, spread=4.0, alpha=alpha, expected=500), mean.shape)
    else:
        width = half_width(variance / n, n, alpha=alpha, expected=500)
    left = (np.abs(mean) > width)[:, 29:].any(axis=1).mean()
    assert left <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)
    assert bounded or left > 0, "bounds that nothing ever leaves are wider than they say"


def test_the_expected_loss_is_what_integration_gives() -> None:
    """E[max(-d, 0)] of a normal d, by a sum over its density."""
    deviations = np.linspace(-12, 12, 200_001)
    for mean, sd in ((0.0, 1.0), (0.3, 0.2), (-0.5, 0.4)):
        values = mean + sd * deviations
        by_sum = float(np.sum(np.maximum(-values, 0) * norm.pdf(deviations)) * (deviations[1] - deviations[0]))
        assert expected_loss(mean, sd**2) == pytest.approx(by_sum, abs=1e-6)
    assert (expected_loss(0.2, 0.0), expected_loss(-0.2, 0.0)) == (0.0, 0.2)


def test_bounded_values_have_the_normal_mixture_of_a_quarter_of_the_squared_spread() -> None:
    width = bounded_half_width(40, spread=3.0, alpha=0.05, expected=500)
    assert width == pytest.approx(normal_mixture(40 * 2.25, alpha=0.05, optimum=500 * 2.25) / 40)
    one = bounded_half_width(1, spread=3.0, alpha=0.05, expected=500, one_sided=True)
    assert one == pytest.approx(normal_mixture(2.25, alpha=0.05, optimum=500 * 2.25, one_sided=True))


def test_the_one_sided_closed_bound_is_tuned_at_twice_alpha() -> None:
    grown, rho = 130 + (tuned := 100 / (-2 * math.log(0.1) + math.log(1 - 2 * math.log(0.1)))), tuned
    expected = math.sqrt(2 * grown * math.log1p(math.sqrt(grown / rho) / 0.1))
    assert normal_mixture(130.0, alpha=0.05, optimum=100, one_sided=True) == pytest.approx(expected)


def test_no_difference_without_variance_is_no_evidence_and_no_loss() -> None:
    assert always_valid_p(0.0, 0.0, 10, alpha=0.05, expected=500) == 1
    assert expected_loss(0.0, 0.0) == 0


def test_a_one_sided_p_value_falls_to_alpha_where_the_bound_crosses_zero() -> None:
    for alpha, expected, n, variance in ((0.05, 200.0, 140.0, 0.04), (0.004, 50.0, 3000.0, 0.002)):
        width = half_width(variance, n, alpha=alpha, expected=expected, one_sided=True)
        p = always_valid_p(width, variance, n, alpha=alpha, expected=expected, one_sided=True)
        assert p == pytest.approx(alpha)
    options: dict[str, Any] = {"alpha": 0.05, "expected": 200, "one_sided": True}
    assert always_valid_p(np.array([-5.0, 0.0, 100.0]), 0.01, 500, **options).tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("p", "rejected"),
    [
        ([0.02, 0.02, 0.02], [False, False, False]),
        ([0.016, 0.02, 0.06], [True, True, False]),
        ([0.06, 0.016, 0.03], [False, True, False]),
        ([0.016, 0.026, 0.04], [True, False, False]),
        ([0.01, 0.02, 0.04], [True, True, True]),
        ([0.05], [True]),
    ],
)
def test_holm_steps_down_from_the_smallest(p: list[float], rejected: list[bool]) -> None:
    assert holm(p, alpha=0.05).tolist() == rejected
    assert holm([p, p[::-1]], alpha=0.05).tolist() == [rejected, rejected[::-1]]
