import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from homeprices.model import calibration
from homeprices.model.calibration import MIN_HOMES, NARROWEST, fit_interval
from homeprices.model.feature_matrix import form_only


def homes(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rooms = rng.integers(1, 6, count).astype(np.float32)
    return pd.DataFrame(
        {
            "total_sqft": (rooms * 500 + rng.integers(0, 300, count)).astype(np.float32),
            "bhk": rooms,
            "bath": rooms,
            "balcony": np.float32(1),
            "location": "Hebbal",
            "area_type": "Plot Area",
            "availability": "ready",
            "society": "",
        }
    )


def errors(inputs: pd.DataFrame, seed: int) -> npt.NDArray[np.float64]:
    """Log errors of estimates: the larger the home, the further off, and more often too low than too high."""
    rng = np.random.default_rng(seed)
    off = rng.standard_normal(len(inputs))
    return inputs["bhk"].to_numpy(np.float64) * 0.05 * np.where(off > 0, 2 * off, off)


def fitted(count: int, seed: int = 1) -> tuple[calibration.ConformalInterval, pd.DataFrame]:
    inputs = homes(count, seed)
    estimates = np.zeros(count)
    return fit_interval(inputs, estimates, estimates, errors(inputs, seed), seed), inputs


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("form", [True, False])
def test_nine_homes_of_ten_lie_within_among_the_small_and_among_the_large(seed: int, form: bool) -> None:
    interval, _ = fitted(3_000, seed)
    new_homes = homes(4_000, seed + 100)
    off = errors(new_homes, seed + 100)
    low, high = interval.bounds(form_only(new_homes) if form else new_homes, np.zeros(len(new_homes)))
    inside = (off >= low) & (off <= high)
    assert 0.87 < inside.mean() < 0.93
    for rooms in (1, 3, 5):
        assert 0.84 < inside[new_homes["bhk"] == rooms].mean() < 0.96


def test_an_interval_is_as_wide_as_such_homes_differ_and_leans_to_where_they_do() -> None:
    interval, inputs = fitted(3_000)
    low, high = interval.bounds(inputs, np.zeros(len(inputs)))
    small, large = inputs["bhk"] == 1, inputs["bhk"] == 5
    assert (high - low)[large].mean() > 3 * (high - low)[small].mean()
    assert high[large].mean() > 1.4 * -low[large].mean()


def test_of_few_homes_the_middle_of_all_errors_is_taken() -> None:
    interval, inputs = fitted(MIN_HOMES - 1)
    low, high = interval.bounds(inputs, np.zeros(len(inputs)))
    assert interval.regressors is None and len({*low}) == 1 and len({*high}) == 1
    off = errors(inputs, 1)
    assert 0.88 < ((off >= low) & (off <= high)).mean() < 0.93


def test_an_estimate_always_lies_within_its_interval() -> None:
    inputs = homes(400, 1)
    interval = fit_interval(inputs, np.zeros(400), np.zeros(400), np.full(400, 0.5), 1)  # every estimate far too low
    low, high = interval.bounds(inputs, np.zeros(400))
    assert (low <= -NARROWEST).all() and (high >= 0.5).all()


def test_a_small_difference_in_the_last_digit_of_an_estimate_decides_nothing() -> None:
    interval, inputs = fitted(1_000)
    estimates = np.random.default_rng(1).uniform(2, 7, len(inputs))
    one, other = interval.bounds(inputs, estimates), interval.bounds(inputs, estimates * (1 + 1e-7))
    assert np.mean(one[0] != other[0]) < 0.001
