"""Rows that somebody inserts by hand stop neither evaluation nor post-promotion analysis: they are left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from homeprices.experiment.production_visitors import TimeWindow, production_p99, production_visitors
from homeprices.release import control_record
from homeprices.workflows.status import experiment_status
from monitoring.exporter.database_collector import DatabaseCollector
from tests.support.trial import NOW, Trial

SOUND = {
    "id": 5_000, "visitor": "somebody", "assigned_variant": "candidate", "served_variant": "candidate", "bundle": "CO1",
    "epoch": 1, "inputs": {}, "estimate": 50.0, "interval_low": 40.0, "interval_high": 60.0, "milliseconds": 2.0,
}  # fmt: skip
MALFORMED: list[dict[str, Any]] = [
    {"inputs": None},
    {"inputs": [1, 2]},
    {"inputs": "a text"},
    {"estimate": "NaN"},
    {"estimate": "Infinity"},
    {"estimate": -5.0},
    {"interval_low": "-Infinity"},
    {"interval_high": 1e300},
    {"visitor": ""},
    {"visitor": "x" * 5_000},
    {"id": -3},
    {"id": 0},
    {"id": 2**60},
]
OF_ANOTHER: list[dict[str, Any]] = [
    {"bundle": "BO999"},
    {"bundle": "by hand"},
    {"bundle": ""},
    {"bundle": "BO1"},  # assigned to the candidate, no fallback
]
NOT_OF_THE_EXPERIMENT: list[dict[str, Any]] = [{"epoch": None}, {"epoch": 99}, {"assigned_variant": None}]
HARMLESS: list[dict[str, Any]] = [{"milliseconds": 1e300}, {"milliseconds": "NaN"}, {"milliseconds": -1.0}]
FEEDBACK: list[tuple[str, Any]] = [
    ("rating", None),
    ("rating", "NaN"),
    ("rating", 1e300),
    ("rating", -4.0),
    ("actual_price", None),
    ("actual_price", 1e-300),
    ("actual_price", "Infinity"),
]


@pytest.fixture
def trial(engine: Engine, tmp_path: Path) -> Iterator[Trial]:
    """A production and a candidate on trial, with rated visits."""
    made = Trial(engine, tmp_path)
    made.begin()
    made.visits("production", 60, stars=3)
    made.visits("candidate", 55, stars=5)
    yield made
    made.close()


def insert(trial: Trial, rows: list[dict[str, Any]], first_id: int) -> None:
    """Insert rows as psql would: nothing but the table's own constraints judges them."""
    statement = text(
        """
        INSERT INTO prediction_logs (id, ts, request_id, visitor, assigned_variant, served_variant, bundle, epoch,
                                     inputs, estimate, interval_low, interval_high, milliseconds)
        VALUES (:id, :ts, 'by hand', :visitor, :assigned_variant, :served_variant, :bundle, :epoch,
                CAST(:inputs AS jsonb), :estimate, :interval_low, :interval_high, :milliseconds)
        """
    )
    with trial.engine.begin() as connection:
        for place, changes in enumerate(rows):
            row = {**SOUND, "id": first_id + place, "visitor": f"hand {first_id + place}", **changes}
            values = {**row, "inputs": json.dumps(row["inputs"]), "ts": NOW - timedelta(hours=1)}
            connection.execute(statement, values)


def insert_feedback(trial: Trial, prediction_id: int) -> None:
    statement = text(
        """
        INSERT INTO user_feedback (prediction_id, visitor, verified, feedback_type, feedback_value, ts)
        VALUES (:id, :visitor, true, :kind, :value, :ts)
        """
    )
    with trial.engine.begin() as connection:
        for place, (kind, value) in enumerate(FEEDBACK):
            values = {"id": prediction_id, "visitor": f"hand {place}", "kind": kind, "value": value}
            connection.execute(statement, {**values, "ts": NOW - timedelta(hours=1)})
        orphan = {"id": 10**17, "visitor": None, "kind": "accurate", "value": None, "ts": NOW - timedelta(hours=1)}
        connection.execute(statement, orphan)


def evidence(trial: Trial) -> dict[str, Any]:
    found: dict[str, Any] = trial.evaluation("look").collect_evidence()["evidence"]
    plain: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    return plain


def test_rows_that_no_service_writes_are_left_out_of_the_evidence_and_counted(trial: Trial) -> None:
    before = evidence(trial)
    insert(trial, [*MALFORMED, *OF_ANOTHER, *NOT_OF_THE_EXPERIMENT], 5_000)
    after = evidence(trial)
    assert {**after, "left_out": {}} == {**before, "left_out": {}}
    counted = {name: count for name, count in after["left_out"].items() if count != before["left_out"][name]}
    assert counted == {"malformed": len(MALFORMED), "other_bundle": len(OF_ANOTHER)}


def test_feedback_that_no_service_accepts_is_left_out_and_counted(trial: Trial) -> None:
    before = evidence(trial)
    [prediction] = trial.visits("candidate", 1)
    alone = evidence(trial)
    insert_feedback(trial, prediction)
    after = evidence(trial)
    assert {**after, "left_out": {}} == {**alone, "left_out": {}}
    assert after["left_out"]["malformed_feedback"] == len(FEEDBACK)
    assert after["candidate"]["mean_rating"] == before["candidate"]["mean_rating"] == 5.0


def test_an_evaluation_decides_and_its_report_and_status_name_the_count(trial: Trial) -> None:
    [prediction] = trial.visits("candidate", 1)
    insert(trial, [*MALFORMED, *HARMLESS], 5_000)
    insert_feedback(trial, prediction)
    run = trial.evaluation("look")
    assert run.decide(run.collect_evidence())["outcome"] in {"continue", "promote"}
    assert trial.decisions()
    line = next(line for line in experiment_status(trial.resources, lambda: NOW).splitlines() if "left out" in line)
    assert f"{len(MALFORMED)} malformed" in line and f"{len(FEEDBACK)} malformed feedback" in line


def test_the_analysis_of_a_new_production_leaves_them_out(trial: Trial) -> None:
    window = TimeWindow(NOW - timedelta(hours=4), NOW, "BO1")

    def seen() -> tuple[float | None, list[Any]]:
        with trial.engine.begin() as connection:
            return production_p99(connection, window), production_visitors(connection, window, 100.0)

    before = seen()
    insert(trial, [{**row, "served_variant": "production", "bundle": "BO1"} for row in MALFORMED], 5_000)
    insert_feedback(trial, 1)
    assert seen() == before


def test_visits_without_a_cookie_are_in_no_analysis_and_no_count_of_the_exporter(trial: Trial) -> None:
    window = TimeWindow(NOW - timedelta(hours=4), NOW, "BO1")
    collector = DatabaseCollector(trial.engine, lambda: control_record.read(trial.bucket))

    def seen() -> tuple[int, list[Any]]:
        counted = [sample for sample in collector.collect() if sample.name == "homeprices_experiment_visitors"]
        with trial.engine.begin() as connection:
            return len(production_visitors(connection, window, 100.0)), counted

    before = seen()
    assert before[0] == 60 and before[1]
    trial.visits("production", 7, stars=1, returning_visitor=False)
    assert seen() == before
    trial.visits("production", 1, stars=1, returning_visitor=True)
    assert seen() != before
