import numpy as np
import numpy.typing as npt
import pytest

from homeprices.model.calibration import best_bias_correction


def within(errors: npt.NDArray[np.float64], shift: float, share: float) -> float:
    return float(np.mean(np.abs(np.exp(shift - errors) - 1) <= share))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("deviation", [0.15, 0.25, 0.35])
def test_a_little_below_the_middle_more_homes_are_near_in_shares_of_their_price(seed: int, deviation: float) -> None:
    shift = best_bias_correction(np.random.default_rng(seed).normal(0, deviation, 20_000))
    assert -0.045 < shift < -0.005
    new_errors = np.random.default_rng(seed + 100).normal(0, deviation, 200_000)
    assert within(new_errors, shift, 0.2) > within(new_errors, 0.0, 0.2)


def test_estimates_that_are_all_too_low_are_raised_and_too_high_ones_lowered() -> None:
    errors = np.random.default_rng(1).normal(0, 0.2, 5_000)
    assert best_bias_correction(errors + 0.04) > 0.01 and best_bias_correction(errors - 0.04) < -0.04


def test_a_few_homes_of_which_the_price_is_a_slip_of_the_pen_do_not_move_it() -> None:
    errors = np.random.default_rng(1).normal(0, 0.2, 5_000)
    assert best_bias_correction(np.append(errors, [3.0] * 50)) == pytest.approx(best_bias_correction(errors), abs=0.006)
