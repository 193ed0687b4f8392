"""What the exporter tells of the newest reports, out of a real database."""

from __future__ import annotations

from homeprices.release.experiment_record import ControlRecord
from monitoring.exporter.database_collector import DatabaseCollector
from monitoring.exporter.metric_table import Sample, families
from tests.integration.drift.conftest import Town


def seen(town: Town) -> dict[tuple[str, ...], float]:
    """Values of the drift metrics by name and labels."""
    samples: list[Sample] = DatabaseCollector(town.engine, ControlRecord).collect()
    list(families(samples))  # raises KeyError for a name or a label that the table of metrics does not have
    return {
        (sample.name.removeprefix("homeprices_drift_"), *map(str, sample.labels.values())): sample.value
        for sample in samples
        if sample.name.startswith("homeprices_drift_")
    }


def test_without_a_report_there_is_no_metric(town: Town) -> None:
    assert seen(town) == {}


def test_the_newest_day_is_told_by_feature_and_the_week_is_not(town: Town) -> None:
    town.visit(-2, 500, home={"total_sqft": 4800.0})
    town.visit(0, 300)
    town.check(0)
    found = seen(town)
    assert (found[("detected", "production")], found[("data_points", "production")]) == (0, 300)
    assert found[("feature_significant", "production", "total_sqft")] == 0
    assert found[("feature_p_value", "production", "total_sqft")] > 0.05
    assert abs(found[("feature_effect", "production", "location", "stability_index")]) < 0.02
    assert (found[("error_detected", "production")], found[("error_prices", "production")]) == (0, 0)


def test_shifted_visitors_are_told_and_the_feature_named(town: Town) -> None:
    town.visit(0, 300, home={"total_sqft": 4800.0})
    town.check(0)
    found = seen(town)
    assert found[("detected", "production")] == 1
    significant = [name[2] for name, value in found.items() if name[0] == "feature_significant" and value]
    assert significant == ["total_sqft"]
    assert found[("feature_p_value", "production", "total_sqft")] < 1e-6


def test_an_error_that_has_grown_is_told_as_drift(town: Town) -> None:
    town.visit(0, 300)
    town.tell_prices(2.5)
    town.check(0)
    found = seen(town)
    assert (found[("detected", "production")], found[("error_detected", "production")]) == (1, 1)
    assert (found[("error_prices", "production")], found[("error_evidence", "production")] >= 100) == (300, True)
