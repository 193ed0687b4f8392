from typing import Any

import numpy as np
import pytest

from homeprices.drift.detector import Comparison, compare, confirmed
from homeprices.drift.findings import NAMES, Rules, overall_sentence
from homeprices.drift.samples import (
    PREDICTION,
    Baseline,
    baseline_of_bundle,
    baseline_of_sample,
    sample_of_columns,
    sample_of_visits,
)
from homeprices.pricing.manifest import NumberReference, Reference, TextReference
from homeprices.training.bundle_metadata import number_reference
from tests.unit.drift.samples import columns, sample

FILE = baseline_of_sample(sample(4000, seed=1))


@pytest.fixture(scope="module")
def bundle() -> Reference:
    """What a bundle carries that was fitted on the same 4,000 homes; places with fewer than 40 are `other`."""
    made = columns(4000, seed=1)
    counts: dict[str, int] = {}
    for place in made["location"]:
        counts[place] = counts.get(place, 0) + 1
    learned = {place: count for place, count in counts.items() if count >= 40}
    numbers = {
        n: number_reference(made[n].astype(np.float32).astype(float)) for n in ("total_sqft", "bhk", "bath", "balcony")
    }
    location = TextReference(counts={**learned, "other": 4000 - sum(learned.values())}, missing=0)
    return Reference(
        rows=4000, features={**numbers, "location": location}, prediction=number_reference(made[PREDICTION])
    )


def against(baseline: Baseline, rows: int = 500, **changes: Any) -> Comparison:
    return compare(baseline, sample(rows, seed=2, **changes))


@pytest.fixture(params=["file", "bundle"])
def baseline(request: pytest.FixtureRequest, bundle: Reference) -> Baseline:
    """A baseline from a file, and one from a bundle."""
    return FILE if request.param == "file" else baseline_of_bundle(bundle)


@pytest.mark.parametrize("rows", [50, 500, 5000])
def test_homes_of_the_same_population_have_not_changed(baseline: Baseline, rows: int) -> None:
    found = against(baseline, rows)
    assert (found.status, found.drifted) == ("ok", ())
    assert found.summary()["sentence"] == f"Nothing has changed in {rows:,} homes."


@pytest.mark.parametrize("seed", range(20))
def test_false_alarms_are_rare(baseline: Baseline, seed: int) -> None:
    """At a two-thousandth none of twenty should alarm. The rates proper are measured by `make simulate-drift`."""
    assert compare(baseline, sample(300, seed=100 + seed), Rules(alpha=0.0005)).drifted == ()


def test_larger_homes_are_found_and_said(baseline: Baseline) -> None:
    found = against(baseline, total_sqft=columns(500, seed=2)["total_sqft"] * 1.1)
    assert found.drifted == ("total_sqft",)
    indicator = found.summary()["drift_indicators"]["total_sqft"]
    assert indicator["significant_drift"] is True
    assert indicator["drift_percentage"] == pytest.approx(
        abs(indicator["current_mean"] / indicator["reference_mean"] - 1) * 100
    )
    assert indicator["sentence"].startswith("The area has changed: its mean is ")
    assert indicator["effect"]["wasserstein"] > 0.1


def test_another_spread_around_the_same_mean_is_found(baseline: Baseline) -> None:
    area = columns(500, seed=2)["total_sqft"]
    wider = area.mean() + 1.6 * (area - area.mean())
    assert "total_sqft" in against(baseline, total_sqft=np.maximum(wider, 100)).drifted


def test_more_bedrooms_are_found(baseline: Baseline) -> None:
    bhk = columns(500, seed=2)["bhk"]
    bhk[:150] += 1
    assert against(baseline, bhk=bhk).drifted == ("bhk",)


@pytest.mark.parametrize("place", ["Place 0", "Place 39", "Atlantis"])
def test_a_place_that_many_ask_for_is_named(baseline: Baseline, place: str) -> None:
    locations = columns(500, seed=2)["location"]
    locations[:75] = [place] * 75
    found = against(baseline, location=locations)
    assert found.drifted == ("location",)
    verdict = found.verdicts["location"]
    assert verdict.finding.moved[0].name == place
    assert place in verdict.sentence
    if place == "Atlantis":
        assert verdict.finding.new_values["Atlantis"] == 75


def test_one_visitor_from_a_new_place_is_named_and_is_no_drift() -> None:
    found = against(FILE, location=["Atlantis", *columns(500, seed=2)["location"][1:]])
    assert found.drifted == ()
    assert "“Atlantis” (1)" in found.verdicts["location"].sentence


def test_spelling_makes_no_other_place(baseline: Baseline) -> None:
    shouted = [f"  {place.upper()} " for place in columns(500, seed=2)["location"]]
    found = against(baseline, location=shouted)
    assert found.drifted == ()


def test_many_places_that_nobody_knows_are_found_though_none_of_them_is_frequent(baseline: Baseline) -> None:
    locations = columns(500, seed=2)["location"]
    locations[:200] = [f"Nowhere {n}" for n in range(200)]
    assert "location" in against(baseline, location=locations).drifted


def test_a_value_out_of_range_is_named_and_one_alone_is_no_drift(baseline: Baseline) -> None:
    area = columns(500, seed=2)["total_sqft"]
    area = np.clip(area, 400, 3000)
    area[0] = 90_000.0
    found = against(baseline, total_sqft=area)
    assert found.drifted == ()
    finding = found.verdicts["total_sqft"].finding
    assert (finding.below_range, finding.above_range) == (0, 1)
    assert "1 outside the reference's range" in found.verdicts["total_sqft"].sentence


def test_a_value_that_the_model_has_as_float32_lies_where_it_lay_in_training() -> None:
    """1056.3 is 1056.300048828125 to the model: a comparison that forgot it would see the homes one bin lower."""
    values = np.repeat([1000.1, 1056.3, 1200.7, 1500.9], 250)
    reference = Reference(
        rows=1000,
        features={"total_sqft": number_reference(values.astype(np.float32).astype(float))},
        prediction=number_reference(np.linspace(10, 90, 1000)),
    )
    found = compare(baseline_of_bundle(reference), sample_of_columns({"total_sqft": values}, 1000))
    assert found.drifted == ()
    assert [test.p_value for test in found.verdicts["total_sqft"].finding.tests] == [1, 1]
    assert found.verdicts["total_sqft"].finding.below_range == 0
    assert found.verdicts["total_sqft"].finding.effect.wasserstein == pytest.approx(0, abs=1e-6)


def test_all_missing_is_drift_of_what_must_be_given(baseline: Baseline) -> None:
    found = against(baseline, bath=np.full(500, np.nan))
    assert found.drifted == ("bath",)
    assert found.verdicts["bath"].sentence.startswith(
        "The number of baths is missing in 100 % of the homes, instead of 0 %"
    )


def test_what_visitors_may_leave_blank_is_no_drift_when_they_do_and_is_in_a_file(bundle: Reference) -> None:
    blank = np.full(500, np.nan)
    live = against(baseline_of_bundle(bundle), balcony=blank)
    assert (live.drifted, live.verdicts["balcony"].finding.status) == ((), "insufficient_data")
    assert against(FILE, balcony=blank).drifted == ("balcony",)


@pytest.mark.parametrize(("moved", "drifted"), [(0, ()), (60, ("society",))])
def test_societies_that_visitors_type_are_compared_with_those_of_the_training(
    bundle: Reference, moved: int, drifted: tuple[str, ...]
) -> None:
    """Three hundred of them, each rare, and two thirds of the visitors name none; now many ask for a single one."""
    names = [f"society {n}" for n in range(300)]
    learned = TextReference(counts=dict.fromkeys(names, 6), missing=2200)
    baseline = baseline_of_bundle(bundle.model_copy(update={"features": {**bundle.features, "society": learned}}))
    chance, made = np.random.default_rng(3), columns(600, seed=2)
    visits = [
        {name: made[name][row] for name in ("total_sqft", "bhk", "bath", "location")}
        | {"estimate": made[PREDICTION][row]}
        | ({"society": str(chance.choice(names)).title()} if row % 3 == 0 else {})
        | ({"society": "Society 7 "} if row < moved else {})
        for row in range(600)
    ]
    found = compare(baseline, sample_of_visits(visits))
    assert found.drifted == drifted
    assert found.verdicts["society"].finding.status == "ok"
    if moved:
        assert "society 7" in found.verdicts["society"].sentence


def test_constant_features_have_not_changed_and_another_constant_has() -> None:
    same: dict[str, Any] = {"bhk": np.full(200, 2.0), "location": ["Here"] * 200}
    baseline = baseline_of_sample(sample_of_columns(same, 200))
    assert compare(baseline, sample_of_columns(same, 200)).drifted == ()
    other: dict[str, Any] = {"bhk": np.full(200, 3.0), "location": ["There"] * 200}
    assert set(compare(baseline, sample_of_columns(other, 200)).drifted) == {"bhk", "location"}


@pytest.mark.parametrize("rows", [0, 1, 29])
def test_too_few_homes_say_nothing(baseline: Baseline, rows: int) -> None:
    found = against(baseline, rows, total_sqft=np.full(rows, 1e4))
    assert (found.status, found.drifted, found.rows) == ("insufficient_data", (), rows)
    assert found.summary()["sentence"] == f"{rows} homes are too few to say anything."


def test_a_reference_of_too_few_homes_says_nothing() -> None:
    found = compare(baseline_of_sample(sample(10)), sample(500))
    assert found.status == "insufficient_data"
    assert found.summary()["sentence"] == (
        "500 homes cannot be compared: the reference has 10, at least 30 are needed."
    )


def test_homes_that_are_copies_of_a_few_say_so(baseline: Baseline) -> None:
    few = compare(baseline, sample(20))
    found = confirmed(compare(baseline, sample(500)), few)
    assert found.summary()["sentence"] == (
        f"500 homes cannot be compared with {baseline.rows:,}: only 20 and {baseline.rows:,} of them differ from each "
        "other, at least 30 are needed on both sides."
    )


def test_homes_that_share_no_feature_with_the_reference_say_so() -> None:
    reference = baseline_of_sample(sample_of_columns({"bhk": np.full(200, 2.0)}, 200))
    found = compare(reference, sample_of_columns({"location": ["Here"] * 300}, 300))
    assert found.summary()["sentence"] == (
        "300 homes cannot be compared: no feature is known of at least 30 homes on both sides."
    )


def test_a_sentence_describes_three_features_and_names_the_others() -> None:
    by_feature = {name: f"The {name} has changed." for name in ("location", "bhk", "bath", "total_sqft", "balcony")}
    said = overall_sentence(500, by_feature, tuple(by_feature))
    assert said == (
        "The location has changed. The bhk has changed. The bath has changed. "
        f"Also changed: {NAMES['total_sqft']}, {NAMES['balcony']}."
    )
    assert "Also" not in overall_sentence(500, by_feature, ("location", "bhk", "bath"))


def test_a_feature_that_an_old_bundle_lacks_is_named_and_not_tested(bundle: Reference) -> None:
    old = bundle.model_copy(update={"features": {k: v for k, v in bundle.features.items() if k != "balcony"}})
    verdict = against(baseline_of_bundle(old)).verdicts["balcony"]
    assert (verdict.finding.status, verdict.significant) == ("not_in_reference", False)
    assert "not in the reference" in verdict.sentence


def test_a_feature_that_the_sample_lacks_is_named_and_not_tested() -> None:
    made = columns(500, seed=2)
    del made["bath"]
    found = compare(FILE, sample_of_columns(made, 500))
    assert found.verdicts["bath"].finding.status == "not_in_current"
    assert found.drifted == ()


def test_a_reference_of_another_make_that_calls_a_number_a_word_is_not_compared(bundle: Reference) -> None:
    other = bundle.model_copy(
        update={"features": {**bundle.features, "bhk": TextReference(counts={"2": 9}, missing=0)}}
    )
    assert against(baseline_of_bundle(other)).verdicts["bhk"].finding.status == "not_in_reference"


def test_an_old_bundle_without_percentiles_is_judged_by_the_stability_index(bundle: Reference) -> None:
    def old(number: Any) -> Any:
        return number.model_copy(update={"percentiles": None}) if isinstance(number, NumberReference) else number

    features = {name: old(feature) for name, feature in bundle.features.items()}
    baseline = baseline_of_bundle(
        bundle.model_copy(update={"features": features, "prediction": old(bundle.prediction)})
    )
    assert against(baseline).drifted == ()
    found = against(baseline, total_sqft=columns(500, seed=2)["total_sqft"] * 1.15)
    assert found.drifted == ("total_sqft",)
    assert found.verdicts["total_sqft"].finding.effect.wasserstein is None


def test_what_is_significant_and_does_not_matter_is_no_drift() -> None:
    """A hundred thousand homes that are half a percent larger."""
    area = columns(100_000, seed=5)["total_sqft"]
    baseline = baseline_of_sample(sample_of_columns({"total_sqft": area}, len(area)))
    found = compare(baseline, sample_of_columns({"total_sqft": area * 1.01}, len(area)))
    verdict = found.verdicts["total_sqft"]
    assert min(test.p_value for test in verdict.finding.tests) < 1e-4
    assert not verdict.significant
    assert "Significant, and too small to matter" in verdict.sentence


def test_visits_come_as_they_are_logged() -> None:
    visits = [{"total_sqft": 1000 + n, "location": "Here", "bhk": 2, "bath": 2, "estimate": 50.0} for n in range(40)]
    found = sample_of_visits(visits)
    assert found.rows == 40
    assert found.features["balcony"].missing == 40
    assert found.features[PREDICTION].present == 40


def test_a_summary_keeps_the_classic_shape(baseline: Baseline) -> None:
    summary = against(baseline).summary()
    assert {"status", "data_points", "drift_indicators", "overall_drift_detected"} <= set(summary)
    classic = {"reference_mean", "current_mean", "drift_percentage", "significant_drift"}
    for indicator in summary["drift_indicators"].values():
        assert classic | {"test", "p_value", "effect", "sentence"} <= set(indicator)
