"""The drift check on a real database, MLflow and webhook: what is stored, said, told, and asked for."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from homeprices.errors import TrackingUnavailable
from homeprices.names import Variant
from homeprices.predictions import drift_reports
from homeprices.resources import Resources
from homeprices.workflows import heartbeat
from homeprices.workflows import monitor_drift as module
from homeprices.workflows.monitor_drift import DAY_HOURS, HOURLY, STATE_KEY, WEEK_HOURS, AlertStates, DriftMonitor
from tests.integration.drift.conftest import NOON, Town

LARGE: dict[str, Any] = {"home": {"total_sqft": 4800.0}}


def stored(town: Town, hours: int = DAY_HOURS, variant: Variant = "production") -> drift_reports.Report | None:
    with town.engine.connect() as connection:
        return drift_reports.newest(connection, variant, hours)


def summary(town: Town, variant: Variant = "production") -> dict[str, Any]:
    report = stored(town, variant=variant)
    assert report is not None
    return report.summary


def test_a_day_without_traffic_is_insufficient_data_and_no_failure(town: Town) -> None:
    told = town.check(0)
    assert (summary(town)["status"], summary(town)["data_points"]) == ("insufficient_data", 0)
    assert (told["turns"], told["retrain"], town.titles) == ({"production": "nothing"}, False, [])
    note = heartbeat.last_heartbeat(town.bucket, "drift")
    assert note is not None
    assert note.at == NOON


def test_without_a_production_there_is_nothing_to_compare(town: Town) -> None:
    empty = DriftMonitor(Resources(town.settings, type(town.bucket)()), "first", clock=lambda: NOON)
    assert empty.compare() == {}
    pages = empty.write_report()
    assert (pages, empty.log_report(pages)) == ({}, None)
    told = empty.notify(pages)
    assert (told["retrain"], empty.record_heartbeat(told)) == (False, "no production yet")


def test_visitors_like_the_training_are_no_drift(town: Town) -> None:
    town.visit(0, 400)
    told = town.check(0)
    found = summary(town)
    assert (found["status"], found["data_points"], found["overall_drift_detected"]) == ("ok", 400, False)
    assert (told["turns"], told["retrain"], town.titles) == ({"production": "nothing"}, False, [])


def test_shifted_visitors_are_told_of_once_and_ask_for_one_model_until_they_are_gone(town: Town) -> None:
    for day in (0, 1, 2):
        town.visit(day, 300, **LARGE)
    for day in (3, 4, 5):
        town.visit(day, 300)
    first = town.check(0)
    assert (first["turns"], first["retrain"]) == ({"production": "begins"}, True)
    assert "The area has changed" in first["reason"]
    assert town.titles == ["Drift begins: visitors of production", "A new model is asked for because of drift"]
    assert "reports/drift/2026-03-02T120000/production.html" in town.hook.posts[0]["text"]
    assert [town.check(day)["turns"]["production"] for day in (1, 2, 3, 4, 5)] == [
        "goes on", "goes on", "goes on", "ends", "nothing",
    ]  # fmt: skip
    assert town.titles[2:] == ["Drift ends: visitors of production"]


@pytest.mark.parametrize("not_a_visit", [{"assigned_variant": None}, {"visitor": None}], ids=["batch", "no visitor"])
def test_rows_that_are_no_visit_are_in_no_report_and_start_no_training(town: Town, not_a_visit: dict[str, Any]) -> None:
    town.visit(0, 400)
    town.visitors.clear()
    town.visit(0, 2000, **LARGE, **not_a_visit)
    town.tell_prices(3.0)
    told = town.check(0)
    found = summary(town)
    assert (found["status"], found["data_points"], found["overall_drift_detected"]) == ("ok", 400, False)
    assert found["error"]["prices"] == 0
    assert (told["retrain"], town.titles) == (False, [])


def test_whether_a_drift_asks_for_a_new_model_the_policy_says(town: Town, tmp_path: Path) -> None:
    never = tmp_path / "never.yaml"
    never.write_text("rule: sequential\nname: never\nretraining: {on_inputs: false}\n")
    town.settings = town.settings.model_copy(update={"policy": str(never)})
    town.visit(0, 300, **LARGE)
    told = town.check(0)
    assert (told["turns"], told["retrain"]) == ({"production": "begins"}, False)
    assert town.titles == ["Drift begins: visitors of production"]


def test_a_day_without_traffic_in_between_ends_nothing_and_a_new_drift_asks_again(town: Town) -> None:
    town.visit(0, 300, **LARGE)
    town.check(0)
    assert town.check(1)["turns"] == {"production": "goes on"}
    for day in (2, 3):
        town.visit(day, 300)
        town.check(day)
    town.visit(4, 300, **LARGE)
    assert (town.check(4)["retrain"], town.titles.count("A new model is asked for because of drift")) == (True, 2)


def test_every_step_can_be_run_again(town: Town) -> None:
    town.visit(0, 300, **LARGE)
    town.check(0)
    before, posts = town.bucket.get(STATE_KEY).body, len(town.hook.posts)
    watch = town.watch(0)
    watch.compare()
    told = watch.notify(watch.write_report())
    with town.engine.connect() as connection:
        reports = connection.execute(text("SELECT count(*) FROM drift_reports")).scalar_one()
    assert (reports, len(town.hook.posts), town.bucket.get(STATE_KEY).body) == (2, posts, before)
    assert told["retrain"] is False


def test_a_step_that_was_killed_before_its_end_asks_all_the_same(town: Town) -> None:
    town.visit(0, 300, **LARGE)
    watch = town.watch(0)
    watch.compare()
    watch.notify({})
    told = town.watch(0).notify({})
    assert told["retrain"] is True
    assert town.titles == ["Drift begins: visitors of production"]


def test_a_visitor_who_asks_a_hundred_times_is_one_visitor(town: Town) -> None:
    town.visit(0, 300)
    town.visit(0, 100, visitor="the same", **LARGE)
    town.check(0)
    assert (summary(town)["data_points"], summary(town)["overall_drift_detected"]) == (301, False)


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ({"returning_visitor": False}, "no_cookie"),
        ({"returning_visitor": False, "assigned_variant": None}, "no_cookie"),
        ({"returning_visitor": True, "assigned_variant": None, "epoch": None}, "unassigned"),  # rows of a batch
    ],
)
def test_equal_probes_without_a_cookie_are_nobodys_homes(town: Town, who: dict[str, Any], reason: str) -> None:
    town.visit(0, 1000, returning_visitor=True)
    town.visit(0, 200, **who, **LARGE)
    town.check(0)
    found = summary(town)
    assert (found["data_points"], found["left_out"][reason], found["overall_drift_detected"]) == (1000, 200, False)
    assert town.titles == []


def test_visitors_of_another_bundle_or_another_day_do_not_count(town: Town) -> None:
    town.visit(0, 200, bundle="BO9", **LARGE)
    town.visit(-2, 200, **LARGE)
    town.visit(0, 50)
    town.check(0)
    assert (summary(town)["data_points"], summary(town)["drifted"]) == (50, [])
    week = stored(town, WEEK_HOURS)
    assert week is not None
    assert (week.data_points, week.hours) == (250, WEEK_HOURS)


def test_an_error_that_has_grown_is_drift_although_the_visitors_are_the_same(town: Town) -> None:
    town.visit(0, 300)
    town.tell_prices(2.5)
    told = town.check(0)
    found = summary(town)
    assert (found["overall_drift_detected"], found["error"]["drift"], found["error"]["prices"]) == (False, True, 300)
    assert (told["turns"], told["retrain"]) == ({"production": "begins"}, True)
    assert "the error has grown" in town.hook.posts[0]["text"]


def test_without_prices_the_error_is_an_estimate_that_says_so(town: Town) -> None:
    town.visit(0, 300)
    town.check(0)
    error = summary(town)["error"]
    assert (error["prices"], error["drift"]) == (0, False)
    assert error["estimated_median_ape"] == pytest.approx(0.2, rel=0.01)
    assert "This is an estimate" in error["sentence"]


def test_the_arms_are_compared_with_each_other(town: Town, tmp_path: Path) -> None:
    town.publish("CO", tmp_path / "CO", 1.1)
    town.visit(0, 300)
    town.visit(0, 200, variant="candidate", bundle="CO1", **LARGE)
    told = town.check(0)
    assert told["turns"] == {"production": "nothing", "candidate": "begins"}
    assert told["retrain"] is False, "only production's visitors ask for a new model"
    arms = summary(town, "candidate")["arms"]
    assert arms["drifted"] == ["total_sqft"]
    assert "arms" not in summary(town)


def test_the_segment_in_which_something_changed_is_named(town: Town) -> None:
    town.visit(-3, 400)
    town.visit(0, 200)
    town.visit(0, 100, home={"bhk": 2, "location": "Elsewhere"})
    town.check(0)
    segments = summary(town)["segments"]
    assert segments["homes of more than 2 bedrooms"]["overall_drift_detected"] is False
    assert "location" in segments["homes of up to 2 bedrooms"]["drifted"]


def test_the_page_and_the_numbers_are_in_mlflow(town: Town) -> None:
    for day in (-2, -1, 0):
        town.visit(day, 100)
        town.check(day)
    watch = town.watch(0)
    url = watch.log_report(watch.write_report())
    assert url is not None
    run_id = url.rsplit("/", 1)[1].partition("?")[0]
    run = httpx.get(
        f"{town.settings.mlflow_tracking_uri}/api/2.0/mlflow/runs/get", params={"run_id": run_id}, timeout=60
    ).json()["run"]
    metrics = {item["key"]: item["value"] for item in run["data"]["metrics"]}
    assert (metrics["production.homes"], metrics["production.drift"]) == (100, 0)
    assert "production.total_sqft.p_value" in metrics
    page = town.bucket.get("reports/drift/2026-03-02T120000/production.html").body.decode()
    assert page.count("stability index by day") >= 2 * 4, "a picture over time for each feature that was compared"


def test_mlflow_away_keeps_nobody_from_being_told(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.settings = town.settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    town.visit(0, 300, **LARGE)
    assert town.check(0)["turns"] == {"production": "begins"}
    watch = town.watch(0)
    with pytest.raises(TrackingUnavailable):
        watch.log_report(watch.write_report())


def test_the_hourly_evaluation_stores_the_day_only(town: Town) -> None:
    town.visit(0, 50)
    assert town.watch(0, "hourly").compare(HOURLY) == {"production": "Nothing has changed in 50 homes."}
    assert stored(town, WEEK_HOURS) is None


def test_the_decision_policy_reads_what_drifts_as_long_as_it_is_fresh(town: Town) -> None:
    town.visit(0, 300, **LARGE)
    town.check(0)
    report = stored(town)
    assert report is not None and report.ts is not None
    with town.engine.connect() as connection:
        said = str(drift_reports.drift_notes(connection, ("BO1", "CO1"), report.ts))
        assert said.startswith("BO1: ") and "The area has changed" in said
        assert drift_reports.drift_notes(connection, ("BO2", "CO1"), report.ts) is None
        assert drift_reports.drift_notes(connection, ("BO1", "CO1"), report.ts + timedelta(days=3)) is None
    town.visit(1, 300)
    town.check(1)
    with town.engine.connect() as connection:
        assert drift_reports.drift_notes(connection, ("BO1", "CO1"), report.ts) is None


def test_the_decision_policy_hears_of_both_bundles_and_of_the_error(town: Town, tmp_path: Path) -> None:
    town.publish("CO", tmp_path / "CO", 1.1)
    town.visit(0, 300)
    town.visit(0, 200, variant="candidate", bundle="CO1", **LARGE)
    town.tell_prices(2.5)
    town.check(0)
    report = stored(town)
    assert report is not None and report.ts is not None
    with town.engine.connect() as connection:
        said = str(drift_reports.drift_notes(connection, ("BO1", "CO1"), report.ts))
    production, _, candidate = said.partition(" CO1: ")
    assert "the error has grown" in production and "The area has changed" in candidate


def test_where_an_arm_stands_is_readable_in_the_bucket(town: Town) -> None:
    town.visit(0, 300, **LARGE)
    town.check(0)
    content = json.loads(town.bucket.get(STATE_KEY).body)
    episode = content["arms"]["production"]["episode"]
    assert (episode["bundle"], episode["retraining"], episode["features"]) == ("BO1", "day 0", ["total_sqft"])
    assert AlertStates.model_validate(content).of("production").drifting


def test_the_dags_open_the_watch_on_the_parts_of_their_process(monkeypatch: pytest.MonkeyPatch, town: Town) -> None:
    monkeypatch.setattr(module, "open_resources", lambda: Resources(town.settings, town.bucket))
    assert module.open_monitor("run").compare(HOURLY)["production"] == "0 homes are too few to say anything."
