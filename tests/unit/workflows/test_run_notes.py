"""What tasks tell people, from the results as they travel between tasks."""

from __future__ import annotations

from typing import Any

import pytest

from homeprices.workflows import run_notes

QUALITY = {"rows": 9000, "used": 8500, "duplicates": 300, "refused": {"no_price": 150, "no_area": 50, "other": 0}}


@pytest.mark.parametrize(
    ("sentence", "result", "expected"),
    [
        (
            run_notes.dataset_checked,
            {"version": 2, "source": "mine.csv", "rows": 9000},
            "train_V2 (mine.csv) has 9,000 rows and keeps the data contract",
        ),
        (
            run_notes.dataset_checked,
            {"version": 1, "source": None, "rows": 1},
            "train_V1 has 1 rows and keeps the data contract",
        ),
        (
            run_notes.listings_cleaned,
            {"quality": QUALITY},
            "8,500 of 9,000 rows are used; 300 are repeated and 200 rejected (150 no_price, 50 no_area)",
        ),
        (
            run_notes.estimators_listed,
            [["distilled"], ["linear", "ridge"]],
            "3 estimators are compared: distilled, linear, ridge",
        ),
        (run_notes.estimators_listed, [["ridge"]], "1 estimator is compared: ridge"),
        (
            run_notes.cross_validated,
            [
                {"estimator": "ridge", "mean": {"median_ape": 0.1634}},
                {"estimator": "linear", "mean": {"median_ape": 0.17}},
            ],
            "ridge 16.3%, linear 17.0%",
        ),
        (run_notes.estimator_selected, {"estimator": "ridge", "kind": "BO"}, "ridge is selected for the next BO"),
        (
            run_notes.bundle_built,
            {"estimator": "ridge", "metrics": {"median_ape": 0.16, "all_median_ape": 0.12}},
            "the draft of ridge has a median error of 16.0% from the form's fields and 12.0% from all inputs, "
            "on the hold-out",
        ),
        (run_notes.bundle_validated, {"estimator": "ridge"}, "the draft of ridge passes every check"),
        (
            run_notes.publication,
            {"version": "CO2", "reason": "ridge is published as CO2"},
            "published CO2: ridge is published as CO2",
        ),
        (run_notes.publication, {"version": None, "reason": "CO1 is on trial"}, "nothing published: CO1 is on trial"),
        (run_notes.evidence_collected, {"nothing": "There is no candidate."}, "There is no candidate."),
        (
            run_notes.evidence_collected,
            {"pending": {"outcome": "promote"}},
            "the decision promote was made before and is finished now",
        ),
        (
            run_notes.evidence_collected,
            {
                "evidence": {
                    "production": {"bundle": "BO1", "requests": 4000, "ratings": 400},
                    "candidate": {"bundle": "CO1", "requests": 1000, "ratings": 100},
                }
            },
            "BO1 has 4,000 requests, 400 ratings and CO1 has 1,000 requests, 100 ratings",
        ),
        (run_notes.decided, {"outcome": "continue", "reason": "It is early."}, "continue: It is early."),
        (run_notes.drift_compared, {"production": "no drift"}, "production: no drift"),
        (run_notes.drift_compared, {}, "no variant serves a bundle"),
        (run_notes.reports_written, {"production": "reports/drift/a.html"}, "reports/drift/a.html"),
        (run_notes.reports_written, {}, "there is no report"),
        (
            run_notes.alerts_told,
            {"turns": {"production": "begins", "candidate": "nothing"}, "reason": "No drift asks for a new model."},
            "production: the alert begins. No drift asks for a new model.",
        ),
        (run_notes.job_planned, [0, 1], "2 partitions"),
        (
            run_notes.partition_scored,
            {"partition": 3, "estimated": 1000, "refused": 2},
            "3: 1,000 estimated, 2 refused",
        ),
        (
            run_notes.job_finished,
            {"version": "BO1", "estimated": 1000, "refused": 2, "manifest": "batch/j/manifest.json"},
            "BO1: 1,000 estimated, 2 refused; batch/j/manifest.json",
        ),
    ],
)  # fmt: skip
def test_a_result_is_told_in_a_sentence(sentence: Any, result: Any, expected: str) -> None:
    assert sentence(result) == expected


def test_without_an_airflow_there_is_no_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOMEPRICES_AIRFLOW_URL", raising=False)
    assert not run_notes.try_set_note("dag", "run", "a note")


def test_an_airflow_that_does_not_answer_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEPRICES_AIRFLOW_URL", "http://127.0.0.1:9")
    assert not run_notes.try_set_note("dag", "run", "a note")
