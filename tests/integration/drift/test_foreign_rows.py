"""Rows that somebody inserts by hand do not stop the drift check: they are left out, and the report counts them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from homeprices.adapters.database import transaction
from homeprices.predictions import drift_reports
from tests.integration.drift.conftest import NOON, Town

MALFORMED: list[dict[str, Any]] = [
    {"inputs": None},
    {"inputs": [1]},
    {"estimate": "NaN"},
    {"estimate": "Infinity"},
    {"interval_low": 0.0},
    {"interval_low": "-Infinity"},
    {"id": -1},
    {"visitor": ""},
]
ODD_INPUTS: list[dict[str, Any]] = [
    {"total_sqft": "big"},
    {"total_sqft": True},
    {"bhk": 10**400},
    {"location": 7},
    {"location": ["Whitefield"]},
    {"society": {"name": "x"}},
]
FOREIGN = [{"bundle": "BO999"}, {"bundle": "by hand"}]


def insert(town: Town, rows: list[dict[str, Any]], first_id: int) -> None:
    statement = text(
        """
        INSERT INTO prediction_logs (id, ts, request_id, visitor, served_variant, bundle, inputs,
                                     estimate, interval_low, interval_high, milliseconds)
        VALUES (:id, :ts, 'by hand', :visitor, 'production', :bundle, CAST(:inputs AS jsonb),
                :estimate, :interval_low, 120, 2)
        """
    )
    sound: dict[str, Any] = {"visitor": None, "bundle": "BO1", "inputs": {}, "estimate": 100.0, "interval_low": 70.0}
    with town.engine.begin() as connection:
        for place, changes in enumerate(rows):
            row = {**sound, "id": first_id + place, **changes}
            values = {**row, "inputs": json.dumps(row["inputs"]), "ts": NOON - timedelta(hours=1)}
            connection.execute(statement, values)


def summary(town: Town, run: str) -> dict[str, Any]:
    town.check(0, run)
    with transaction(town.engine) as connection:
        report = drift_reports.of_run(connection, "production", 24, run)
    assert report is not None
    return {name: value for name, value in report.summary.items() if name != "run"}


def test_the_check_goes_on_and_its_report_counts_what_was_left_out(town: Town) -> None:
    town.visit(0, 300)
    before = summary(town, "before")
    insert(town, [*MALFORMED, *({"inputs": inputs} for inputs in ODD_INPUTS), *FOREIGN], 900_000)
    with town.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO user_feedback (prediction_id, visitor, verified, feedback_type, feedback_value, ts) "
                "VALUES (1, 'a', true, 'actual_price', 1e-300, :ts), (2, 'b', true, 'actual_price', NULL, :ts), "
                "(3, 'c', true, 'actual_price', 'NaN', :ts), (-7, NULL, true, 'actual_price', 50, :ts)"
            ),
            {"ts": NOON - timedelta(hours=1)},
        )
    after = summary(town, "after")
    assert after.pop("left_out") == {"malformed": len(MALFORMED) + len(ODD_INPUTS)}
    assert "left_out" not in before
    assert after == before
