import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.sample_ratio import p_value


def test_without_visitors_or_without_chance_nothing_is_found() -> None:
    assert p_value(0, 0, 0.2) == p_value(3, 10, 0.0) == p_value(3, 10, 1.0) == 1.0


def test_the_value_is_the_inverse_bayes_factor() -> None:
    """Of 10 visitors 6: binomial(10, 6) 0.2^6 0.8^4, against 1/11 when every count is as likely."""
    plan = math.comb(10, 6) * 0.2**6 * 0.8**4
    assert p_value(6, 10, 0.2) == pytest.approx(plan * 11)


@pytest.mark.parametrize(
    ("candidate", "total", "found"), [(2000, 10_000, False), (2300, 10_000, True), (60_000, 200_000, True)]
)
def test_a_split_that_is_off_is_found_and_a_right_one_is_left_alone(candidate: int, total: int, found: bool) -> None:
    assert (p_value(candidate, total, 0.2) < 0.001) is found


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.01, 0.99))
def test_it_is_a_probability_and_the_same_for_either_arm(candidate: int, production: int, share: float) -> None:
    p = p_value(candidate, candidate + production, share)
    assert 0 <= p <= 1
    assert p == pytest.approx(p_value(production, candidate + production, 1 - share), rel=1e-6, abs=1e-12)


def test_looking_after_every_visitor_raises_few_false_alarms() -> None:
    """500 correct experiments, each looked at 1,000 times: at 5 % the guarantee is 25 at most, on average."""
    random.seed(3)
    alarms = 0
    for _ in range(500):
        candidate = 0
        for total in range(1, 1001):
            candidate += random.random() < 0.2
            if p_value(candidate, total, 0.2) < 0.05:
                alarms += 1
                break
    assert alarms <= 25


def test_an_impossible_count_is_refused() -> None:
    with pytest.raises(ValueError, match="11 of 10"):
        p_value(11, 10, 0.2)
