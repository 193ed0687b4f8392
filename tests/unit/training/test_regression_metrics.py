import numpy as np
import pandas as pd
import pytest

from homeprices.model.price_model import Estimates
from homeprices.pricing.accuracy import GRADES, LEAST_HOMES
from homeprices.training.regression_metrics import (
    HoldoutScore,
    bootstrap,
    coverage,
    measure,
    measure_accuracy,
    measure_both,
    measure_slices,
)

PRICES = np.array([50.0, 100.0, 200.0, 400.0])
ESTIMATES = np.array([55.0, 100.0, 150.0, 500.0])


def test_every_metric_by_hand() -> None:
    found = measure(PRICES, ESTIMATES)
    assert found["median_ape"] == pytest.approx((0.1 + 0.25) / 2)
    assert found["mean_ape"] == pytest.approx(0.15)
    assert (found["within_10"], found["within_20"]) == (0.5, 0.5)
    assert found["mae"] == pytest.approx(38.75)
    assert found["rmse"] == pytest.approx(np.sqrt((25 + 2500 + 10_000) / 4))
    assert found["r2"] == pytest.approx(1 - 12_525 / 71_875)
    assert found["rmsle"] == pytest.approx(np.sqrt(np.mean(np.log((ESTIMATES + 1) / (PRICES + 1)) ** 2)))


def test_no_home_is_left_out_however_far_off() -> None:
    far = measure(np.append(PRICES, 10.0), np.append(ESTIMATES, 10_000.0))
    assert far["mae"] > 1_900 and far["mean_ape"] > 190


def test_metrics_of_all_inputs_have_their_prefix() -> None:
    both = measure_both(PRICES, ESTIMATES, PRICES)
    assert both["median_ape"] > 0 and both["all_median_ape"] == 0 and len(both) == 16


def test_a_bootstrap_interval_holds_the_metric_narrows_with_more_homes_and_is_the_same_for_a_seed() -> None:
    rng = np.random.default_rng(1)
    prices = rng.uniform(20, 300, 2_000)
    estimates = prices * np.exp(rng.normal(0, 0.2, 2_000))
    many, few = bootstrap(prices, estimates, 3), bootstrap(prices[:100], estimates[:100], 3)
    for name, value in measure(prices, estimates).items():
        assert many[name][0] <= value <= many[name][1]
        assert many[name][1] - many[name][0] < few[name][1] - few[name][0]
    assert bootstrap(prices, estimates, 3) == many


def test_nearly_all_bootstrap_intervals_hold_the_true_error() -> None:
    """Of estimates whose log error is normal with deviation 0.2 the share within 20 % is known."""
    from scipy.stats import norm

    true = norm.cdf(np.log(1.2) / 0.2) - norm.cdf(np.log(0.8) / 0.2)
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        prices = rng.uniform(20, 300, 300)
        low, high = bootstrap(prices, prices * np.exp(rng.normal(0, 0.2, 300)), seed)["within_20"]
        held += low <= true <= high
    assert 51 <= held <= 60


def test_coverage_is_told_for_all_and_for_each_third_by_price() -> None:
    prices = np.arange(1.0, 10.0)
    inside = np.array([True] * 3 + [False] * 3 + [True, True, False])
    found = coverage(prices, inside)
    assert found == {
        "interval_coverage": pytest.approx(5 / 9),
        "interval_coverage_cheap": 1.0,
        "interval_coverage_middle": 0.0,
        "interval_coverage_dear": pytest.approx(2 / 3),
    }


def test_homes_that_all_cost_the_same_have_no_dear_third() -> None:
    assert coverage(np.ones(5), np.ones(5, dtype=bool))["interval_coverage_dear"] == 0.0


def test_each_home_is_in_one_group_by_price_by_bedrooms_and_by_location() -> None:
    rows = pd.DataFrame({"price": PRICES, "bhk": [1.0, 2.0, 5.0, 9.0], "location": ["A", " a", "B", "C"]})
    training = pd.DataFrame({"location": ["A"] * 60 + ["B"] * 9})
    slices = {group["name"]: group for group in measure_slices(rows, training, ESTIMATES, np.array([True] * 4))}
    assert [slices[name]["count"] for name in ("1 bhk", "2 bhk", "5 bhk and more")] == [1, 1, 2]
    assert "3 bhk" not in slices
    by_location = {name: group["count"] for name, group in slices.items() if name.startswith("location")}
    assert by_location == {
        "location listed 50 times and more": 2,
        "location listed up to 9 times": 1,
        "location never listed": 1,
    }


LISTINGS = {"Whitefield": 80, "Hebbal": 12, "Jayanagar": 4}


def holdout(count: int = 900) -> HoldoutScore:
    """A scored hold-out whose errors grow with the price, in three learned locations and an unknown one."""
    rng = np.random.default_rng(4)
    estimates = rng.uniform(20, 300, count)
    prices = estimates * np.exp(rng.normal(0, 0.05 + estimates / 800))
    rows = pd.DataFrame({"price": prices, "bhk": rng.integers(1, 8, count)})
    inputs = pd.DataFrame(
        {"location": rng.choice(["Whitefield", "Hebbal", "Jayanagar", "other"], count, p=(0.62, 0.3, 0.04, 0.04))}
    )
    form = Estimates(estimates, estimates * 0.7, estimates * 1.4)
    return HoldoutScore(rows, inputs, form=form, full=form)


def test_the_stated_error_of_a_home_is_that_of_its_kind_in_the_hold_out() -> None:
    score = holdout()
    found = measure_accuracy(score, LISTINGS)
    listings = score.inputs["location"].map(LISTINGS).fillna(0).astype(int).tolist()
    homes = list(zip(listings, score.rows["bhk"].tolist(), np.round(score.form.price, 2).tolist(), strict=True))
    error = np.abs(score.form.price - score.prices) / score.prices
    stated = [found.of(*home) for home in homes]
    low, high = found.bands
    limits = {"cheap": (0, low), "middle": (low, high), "dear": (high, np.inf), None: (0, np.inf)}
    counts = {
        "below_10": (0, 9),
        "50_and_more": (50, 99),
        "10_to_49": (10, 49),
        "up_to_9": (1, 9),
        "unknown": (0, 0),
        None: (0, 99),
    }
    for segment in {one.kind: one for one in stated}.values():
        (least, most), (above, up_to) = counts[segment.listed], limits[segment.band]
        alike = np.array(
            [
                least <= listed <= most
                and (segment.bedrooms is None or min(bedrooms, 5) == segment.bedrooms)
                and above < price <= up_to
                for listed, bedrooms, price in homes
            ]
        )
        assert segment.homes == alike.sum() >= LEAST_HOMES
        assert segment.median_ape == pytest.approx(np.median(error[alike]))
        assert segment.within_20 == pytest.approx(np.mean(error[alike] <= 0.2))
    assert {segment.kind.listed for segment in stated} == {"50_and_more", "10_to_49", "below_10"}


def test_a_kind_of_few_homes_is_widened_until_it_has_enough() -> None:
    found = measure_accuracy(holdout(), LISTINGS)
    assert found.of(4, 2, 40.0).kind == found.of(0, 2, 40.0).kind == ("below_10", None, None)
    assert found.of(80, 2, 40.0).kind == ("50_and_more", None, "cheap")
    assert found.of(80, 9, 290.0).kind == ("50_and_more", 5, "dear"), "the bedrooms of 5, 6 and 7 are of one kind"
    assert measure_accuracy(holdout(20), LISTINGS).of(80, 2, 40.0).homes == 20, "there is none wider"


def test_what_a_grade_means_is_measured_on_the_homes_that_get_it() -> None:
    score = holdout()
    found = measure_accuracy(score, LISTINGS)
    listings = score.inputs["location"].map(LISTINGS).fillna(0).astype(int).tolist()
    graded = [
        found.of(listed, bedrooms, round(price, 2)).grade
        for listed, bedrooms, price in zip(listings, score.rows["bhk"], score.form.price.tolist(), strict=True)
    ]
    error = np.abs(score.form.price - score.prices) / score.prices
    assert set(found.grades) == set(graded) == {*GRADES, "C"}
    for grade, measured in found.grades.items():
        of_grade = np.array(graded) == grade
        assert measured.homes == of_grade.sum()
        assert measured.within_20 == pytest.approx(np.mean(error[of_grade] <= 0.2))
    assert found.grades["A"].within_20 > found.grades["B"].within_20 > found.grades["C"].within_20
