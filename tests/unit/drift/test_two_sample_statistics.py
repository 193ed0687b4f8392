import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from homeprices.drift import two_sample_statistics
from homeprices.drift.samples import number_sample
from homeprices.drift.two_sample_statistics import numeric_histogram


def cells_of(before: list[float], after: list[float]) -> tuple[np.ndarray, np.ndarray]:
    cells = numeric_histogram(number_sample(before), number_sample(after))
    return cells.reference, cells.current


@pytest.mark.parametrize("seed", range(5))
def test_mann_whitney_is_scipys_on_the_rows_themselves(seed: int) -> None:
    chance = np.random.default_rng(seed)
    before, after = chance.poisson(3, 400), chance.poisson(3.2, 150)
    expected = stats.mannwhitneyu(after, before, use_continuity=False, method="asymptotic").pvalue
    assert two_sample_statistics.mann_whitney(*cells_of(before.tolist(), after.tolist())) == pytest.approx(
        expected, rel=1e-9
    )


@pytest.mark.parametrize("seed", range(5))
def test_kolmogorov_smirnov_has_scipys_distance_and_kolmogorovs_limit(seed: int) -> None:
    chance = np.random.default_rng(seed)
    before, after = chance.normal(0, 1, 4000), chance.normal(0.1, 1, 3000)
    found = two_sample_statistics.kolmogorov_smirnov(*cells_of(before.tolist(), after.tolist()))
    exact = stats.ks_2samp(before, after, method="exact").pvalue
    assert found == pytest.approx(exact, rel=0.15)


def test_the_g_test_is_scipys_divided_by_williams_correction() -> None:
    reference, current = np.array([268.0, 199.0, 42.0]), np.array([807.0, 759.0, 184.0])
    table = np.vstack([reference, current])
    g, _, degrees, _ = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    rows, columns, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    q = 1 + (total * sum(1 / rows) - 1) * (total * sum(1 / columns) - 1) / (6 * total * degrees)
    assert two_sample_statistics.g_test(reference, current) == pytest.approx(stats.chi2.sf(g / q, degrees))
    # McDonald, Handbook of Biological Statistics, G-test of independence: G = 7.30, 2 degrees of freedom, P = 0.026.
    assert g == pytest.approx(7.30, abs=0.01)
    assert stats.chi2.sf(g, degrees) == pytest.approx(0.026, abs=0.0005)


def test_cells_that_neither_has_do_not_count() -> None:
    with_empty = two_sample_statistics.g_test(np.array([50.0, 0.0, 30.0]), np.array([40.0, 0.0, 45.0]))
    assert with_empty == two_sample_statistics.g_test(np.array([50.0, 30.0]), np.array([40.0, 45.0]))


def test_one_single_value_on_both_sides_is_no_difference() -> None:
    one = np.array([100.0]), np.array([40.0])
    assert (
        two_sample_statistics.g_test(*one),
        two_sample_statistics.mann_whitney(*one),
        two_sample_statistics.kolmogorov_smirnov(*one),
    ) == (1, 1, 1)


def test_a_word_that_only_the_sample_has_is_tested_by_the_chance_that_all_its_rows_fell_there() -> None:
    found = two_sample_statistics.share_tests(np.array([0.0]), np.array([3.0]), (900.0, 100.0))
    assert found[0] == pytest.approx(2 * 0.1**3)


def test_a_word_of_which_only_the_most_is_known_can_be_found_more_frequent_and_never_less() -> None:
    rows = 900.0, 100.0
    less = np.array([90.0]), np.array([0.0])
    assert two_sample_statistics.share_tests(*less, rows)[0] < 1e-3
    assert two_sample_statistics.excess_tests(*less, rows)[0] == 1
    assert two_sample_statistics.excess_tests(np.array([9.0]), np.array([20.0]), rows)[0] < 1e-9


@pytest.mark.parametrize(("missing", "of"), [(5, 1000), (995, 1000)])
def test_missing_and_present_are_the_same_question(missing: int, of: int) -> None:
    assert two_sample_statistics.count_test(missing, of, 30 if missing == 5 else 70, 100) == pytest.approx(
        two_sample_statistics.count_test(of - missing, of, 70 if missing == 5 else 30, 100)
    )


def test_holm_is_the_textbooks() -> None:
    """Adjusted by hand: 3 x 0.01, 2 x 0.02, and never below the one before."""
    assert two_sample_statistics.holm({"a": 0.02, "b": 0.01, "c": 0.9}) == pytest.approx(
        {"b": 0.03, "a": 0.04, "c": 0.9}
    )
    assert two_sample_statistics.holm({}) == {}


@given(st.dictionaries(st.text(min_size=1), st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_makes_a_p_value_smaller(p_values: dict[str, float]) -> None:
    adjusted = two_sample_statistics.holm(p_values)
    names = sorted(p_values, key=lambda name: p_values[name])
    assert all(p_values[name] <= adjusted[name] <= 1 for name in names)
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(names))


def test_simes_is_never_above_bonferroni_and_is_one_without_a_test() -> None:
    assert two_sample_statistics.simes([0.01, 0.04]) == pytest.approx(0.02)
    assert two_sample_statistics.simes([0.03, 0.032]) == pytest.approx(0.032)
    assert two_sample_statistics.simes([]) == 1
    assert math.isclose(two_sample_statistics.simes([0.2]), 0.2)
