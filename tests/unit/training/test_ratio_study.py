"""The ratio study by hand, on data whose bias is known, and as it is told."""

import numpy as np
import pytest

from homeprices.training import ratio_study
from homeprices.training.ratio_study import RANGES, RatioStudy, statistics, verdict

PRICES = np.array([50.0, 100.0, 200.0, 400.0])
ESTIMATES = np.array([60.0, 100.0, 180.0, 320.0])


def homes(count: int, bias: float = 0.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Prices, and estimates whose ratio falls by `bias` at each doubling of the true value."""
    rng = np.random.default_rng(seed)
    value = np.exp(rng.normal(4, 0.6, count))
    ratio = 1 + bias * (np.log2(value) - np.log2(np.median(value)))
    return value, value * ratio * np.exp(rng.normal(0, 0.05, count))


def test_every_statistic_by_hand() -> None:
    found = statistics(PRICES, ESTIMATES)
    ratios, median = np.array([1.2, 1.0, 0.9, 0.8]), 0.95
    assert found["median_ratio"] == pytest.approx(median)
    assert found["cod"] == pytest.approx(100 * np.mean([0.25, 0.05, 0.05, 0.15]) / median)
    assert found["prd"] == pytest.approx(ratios.mean() / (660 / 750))
    value = np.log(0.5 * PRICES + 0.5 * ESTIMATES / median) / np.log(2)
    slope, _ = np.polyfit(value, (ratios - median) / median, 1)
    assert found["prb"] == pytest.approx(slope)


def test_estimates_that_are_right_up_to_a_factor_have_that_level_and_no_bias() -> None:
    found = statistics(PRICES, 1.1 * PRICES)
    assert found == pytest.approx({"median_ratio": 1.1, "cod": 0.0, "prd": 1.0, "prb": 0.0}, abs=1e-12)


@pytest.mark.parametrize("bias", [-0.1, 0.1])
def test_a_known_bias_between_cheap_and_dear_homes_is_found(bias: float) -> None:
    found = statistics(*homes(5_000, bias))
    assert found["prb"] == pytest.approx(bias, abs=0.015)
    assert (found["prd"] - 1) * bias < 0, "a falling ratio is a PRD above 1"


def test_homes_of_one_price_have_no_bias_and_no_division_by_zero() -> None:
    same = np.full(20, 100.0)
    assert statistics(same, same)["prb"] == 0.0


def test_the_study_has_all_homes_and_each_third_and_its_intervals_hold_their_values() -> None:
    prices, estimates = homes(3_000)
    studies = ratio_study.ratio_study(prices, estimates, 1)
    assert [study.homes for study in studies] == ["all", "cheap third", "middle third", "dear third"]
    assert sum(study.count for study in studies[1:]) == studies[0].count == 3_000
    for study in studies:
        for name in RANGES:
            low, high = study.intervals[name]
            assert low <= study.values[name] <= high
    assert ratio_study.ratio_study(prices, estimates, 1) == studies


def test_a_group_of_few_homes_has_no_statistics() -> None:
    assert ratio_study.ratio_study(PRICES, ESTIMATES, 1) == []
    assert "too few" in verdict([])
    assert [study.homes for study in ratio_study.ratio_study(*homes(12), 1)] == ["all"]


def test_the_verdict_says_where_each_interval_lies() -> None:
    fair = verdict(ratio_study.ratio_study(*homes(3_000), 1))
    assert "median ratio within" in fair and "PRD within" in fair and "PRB within" in fair
    assert "COD outside" in fair, "a dispersion below five percent is told too"
    biased = verdict(ratio_study.ratio_study(*homes(3_000, -0.12), 1))
    assert "PRD outside" in biased and "PRB outside" in biased
    edge = RatioStudy("all", 20, {}, dict.fromkeys(RANGES, (0.97, 1.01)))
    assert edge.compared() == {
        "median_ratio": "within", "cod": "outside", "prd": "partly outside", "prb": "outside",
    }  # fmt: skip


def test_a_row_and_its_head_have_the_same_columns() -> None:
    (first, *_) = ratio_study.ratio_study(*homes(100), 1)
    row = ratio_study.as_text(first)
    assert len(row) == len(ratio_study.head()) == 6
    assert row[:2] == ("all", "100") and "(" in row[2]
    assert ratio_study.head()[4] == "PRD (0.98 to 1.03)"
