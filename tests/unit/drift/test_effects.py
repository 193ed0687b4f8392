import numpy as np
import pytest

from homeprices.drift import two_sample_statistics
from homeprices.drift.samples import number_sample


def percentiles(values: list[float]) -> np.ndarray:
    return number_sample(values).percentiles


def test_percentiles_are_numpys() -> None:
    values = np.random.default_rng(1).lognormal(0, 1, 1234)
    expected = np.quantile(values, np.arange(1, 100) / 100, method="inverted_cdf")
    assert np.array_equal(percentiles(values.tolist()), expected)


def test_a_shift_by_half_a_deviation_is_half_a_deviation_away() -> None:
    values = np.random.default_rng(1).normal(100, 10, 20_000)
    before = percentiles(values.tolist())
    shift = float(np.std(before)) / 2
    assert two_sample_statistics.wasserstein(before, percentiles((values + shift).tolist())) == pytest.approx(0.5)


def test_a_single_estate_of_a_million_square_feet_does_not_hide_a_change_of_all_others() -> None:
    homes = np.random.default_rng(1).normal(1200, 300, 2000).tolist()
    with_estate = [*homes, 1_306_800.0]
    plain = two_sample_statistics.wasserstein(percentiles(homes), percentiles([1.1 * value for value in homes]))
    hidden = two_sample_statistics.wasserstein(
        percentiles(with_estate), percentiles([1.1 * value for value in with_estate])
    )
    assert plain is not None
    assert hidden == pytest.approx(plain, rel=0.05)


def test_a_constant_reference_has_the_spread_of_both() -> None:
    assert two_sample_statistics.wasserstein(percentiles([5.0] * 50), percentiles([5.0] * 50)) == 0
    assert two_sample_statistics.wasserstein(percentiles([5.0] * 50), percentiles([7.0] * 50)) == pytest.approx(2)


def test_an_old_bundles_reference_has_no_distance() -> None:
    assert two_sample_statistics.wasserstein(None, percentiles([1.0, 2.0])) is None


def test_the_stability_index_is_by_hand() -> None:
    """(q - p) ln(q / p) with shares of 0.5 and 0.25 / 0.75: 0.25 ln 2 + 0.25 ln 1.5; halves are added to the counts."""
    found = two_sample_statistics.stability_index(np.array([4999.5, 4999.5]), np.array([2499.5, 7499.5]))
    assert found == pytest.approx(0.25 * np.log(2) + 0.25 * np.log(1.5))


def test_beyond_chance_the_index_of_equal_populations_is_nothing_on_average() -> None:
    chance = np.random.default_rng(1)
    shares = np.full(10, 0.1)
    found = [
        two_sample_statistics.beyond_chance(
            chance.multinomial(5000, shares).astype(float), chance.multinomial(300, shares).astype(float)
        )
        for _ in range(400)
    ]
    assert abs(float(np.mean(found))) < 0.003
    assert two_sample_statistics.index_by_chance(np.full(10, 500.0), np.full(10, 30.0)) == pytest.approx(
        9 * (1 / 5000 + 1 / 300)
    )


def test_the_jensen_shannon_distance_goes_from_nothing_to_all() -> None:
    assert two_sample_statistics.jensen_shannon(np.array([5.0, 5.0]), np.array([50.0, 50.0])) == 0
    assert two_sample_statistics.jensen_shannon(np.array([5.0, 0.0]), np.array([0.0, 9.0])) == pytest.approx(1)
