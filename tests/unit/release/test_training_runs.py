"""The list of training runs, from the bucket alone."""

from __future__ import annotations

from pathlib import Path

from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.adapters.object_store import MemoryBucket
from homeprices.release import control_record, promotion, training_runs
from homeprices.settings import load_settings
from tests.contract.release import drafts, in_production, publish  # noqa: F401

AWAY = MlflowClient(load_settings({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, ()))


def outcomes(bucket: MemoryBucket) -> dict[str, str]:
    return training_runs.outcomes(bucket, training_runs.read_manifests(bucket)[0])


def test_every_bundle_has_an_outcome_from_its_publication_to_its_end(drafts: list[Path]) -> None:  # noqa: F811
    bucket = MemoryBucket()
    assert outcomes(bucket) == {}
    publish(bucket, drafts[0], "first", "BO")
    publish(bucket, drafts[1], "second", "CO")
    assert outcomes(bucket) == {"BO1": "in production", "CO1": "waits for its trial"}
    control_record.start_experiment(bucket, "BO1", "CO1", 20, "test")
    assert outcomes(bucket) == {"BO1": "in production", "CO1": "on trial"}
    promotion.promote(bucket, "CO1", in_production, "test", "better")
    assert outcomes(bucket) == {"BO1": "in production until BO2", "CO1": "promoted as BO2, in production"} | {
        "BO2": "in production"
    }
    promotion.revert(bucket, "BO1", in_production, "test", "BO2 is bad")
    assert outcomes(bucket)["CO1"] == "promoted as BO2, in production until BO3"
    publish(bucket, drafts[2], "third", "CO")
    control_record.start_experiment(bucket, "BO3", "CO2", 20, "test")
    promotion.roll_back(bucket, "CO2", "test", "worse")
    assert outcomes(bucket)["CO2"] == "rolled back"


def test_what_is_missing_is_said(drafts: list[Path]) -> None:  # noqa: F811
    bucket = MemoryBucket()
    publish(bucket, drafts[0], "first", "BO")
    publish(bucket, drafts[1], "second", "CO")
    bucket.put("models/price_check_CO1/manifest.json", b"{")
    runs, missing = training_runs.list_runs(bucket, AWAY, 20)
    assert [run.version for run in runs] == ["BO1"]
    assert "CO1 is missing" in missing[0] and "runs that published nothing are missing: MLflow" in missing[1]


def test_a_run_is_a_line_with_its_error(drafts: list[Path]) -> None:  # noqa: F811
    bucket = MemoryBucket()
    assert training_runs.as_text([]) == "No model has been trained yet."
    publish(bucket, drafts[0], "first", "BO")
    head, line = training_runs.as_text(training_runs.list_runs(bucket, AWAY, 20)[0]).splitlines()
    assert head.split()[:2] == ["started", "(UTC)"]
    assert line.split() == ["2026-01-05", "06:00", "train_V1", "BO1", "test_formula", "20.0%", "in", "production"]
