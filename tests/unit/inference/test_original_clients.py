"""Clients of the original service: each of its published answers is held, in what they read of it.

An answer of this service may have more members. The examples are as they were published, with the figures of then.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from homeprices.drift.detector import compare
from homeprices.drift.samples import baseline_of_sample
from homeprices.predictions.drift_reports import Report
from inference.backend.api import openapi
from inference.backend.api.operator_routes import drift_answer
from inference.backend.api.original_clients import metrics_members
from tests.unit.drift.samples import columns, sample
from tests.unit.inference.conftest import Backend, Start

HEALTH: dict[str, Any] = {
    "status": "healthy",
    "timestamp": "2025-07-31T14:04:57.781302",
    "model_variant": "candidate_model",
    "system": {
        "cpu_percent": 7.4,
        "memory_percent": 68.4,
        "memory_available_gb": 9.85,
        "disk_percent": 44.4,
        "disk_free_gb": 247.06,
    },
}
METRICS: dict[str, Any] = {
    "variant": "best_model",
    "time_period_hours": 24,
    "timestamp": "2025-07-31T13:58:16.931606",
    "predictions": {
        "total_count": 13,
        "avg_latency_ms": 0.23,
        "p95_latency_ms": 0.44,
        "p99_latency_ms": 0.47,
        "min_latency_ms": 0.16,
        "max_latency_ms": 0.48,
    },
    "feedback": {"total_count": 7, "avg_rating": 5.0, "accurate_count": 5, "too_high_count": 0, "too_low_count": 0},
}
DRIFT: dict[str, Any] = {
    "overall_drift_detected": True,
    "drift_indicators": {
        "total_sqft": {
            "reference_mean": 1500.0, "current_mean": 1500.0, "drift_percentage": 0.0, "significant_drift": False,
        },
        "prediction": {
            "reference_mean": 63.0, "current_mean": 89.8, "drift_percentage": 42.6, "significant_drift": True,
        },
    },
}  # fmt: skip
PREDICTION: dict[str, Any] = {"estimated_price": 42.01, "prediction_id": 29, "response_time_ms": 0.38}
LOCATIONS: dict[str, Any] = {"locations": ["1st Block Jayanagar", "Whitefield", "Electronic City"]}


def read_as(example: Any, found: Any, where: str = "") -> None:
    """Fail unless a client that reads each member of the example finds one of its type."""
    if isinstance(example, dict):
        assert isinstance(found, dict), where
        for name, value in example.items():
            assert name in found, f"{where}.{name} is missing"
            read_as(value, found[name], f"{where}.{name}")
    elif isinstance(example, bool | str | list):
        assert type(found) is type(example), f"{where} is {found!r}"
    else:
        assert isinstance(found, int | float) and not isinstance(found, bool), f"{where} is {found!r}"
        assert isinstance(example, float) or isinstance(found, int), f"{where} is {found!r}"


@pytest.mark.parametrize(("prefix", "expected"), [("candidate_model", "candidate_model"), ("best_model", "best_model")])
def test_health_is_read_as_published(start: Start, prefix: str, expected: str) -> None:
    backend = start(MODEL_PREFIX=prefix)
    backend.publish("CO1" if prefix == "candidate_model" else "BO1")
    found = backend.client.get("/api/health").get_json()
    read_as(HEALTH, found)
    assert (found["status"], found["model_variant"]) == ("healthy", expected)
    assert abs(datetime.fromisoformat(found["timestamp"]) - datetime.now(UTC)).total_seconds() < 60
    assert all(0 <= found["system"][f"{name}_percent"] <= 100 for name in ("cpu", "memory", "disk"))
    conforms("Health", found)


def test_health_tells_strangers_no_more_than_before(backend: Backend) -> None:
    found = backend.client.get("/api/health", environ_base={"REMOTE_ADDR": "192.0.2.7"}).get_json()
    assert set(found) == {"status", "time", "version"} and found["status"] == "healthy"


def test_metrics_are_read_as_published() -> None:
    counted = {
        "requests": 13, "mean_milliseconds": 0.2345, "p95_milliseconds": 0.44, "p99_milliseconds": 0.47,
        "min_milliseconds": 0.16, "max_milliseconds": 0.48, "mean_rating": 5.0,
        "feedback": {"accurate": 5, "rating": 2},
    }  # fmt: skip
    until = datetime.fromisoformat(METRICS["timestamp"])
    found = metrics_members("production", 24, until, counted)
    read_as(METRICS, found)
    assert found == METRICS


def test_metrics_without_any_data_are_zero() -> None:
    found = metrics_members("candidate", 24, datetime.now(UTC), {})
    read_as(METRICS, found)
    assert found["variant"] == "candidate_model"
    assert set(found["predictions"].values()) == set(found["feedback"].values()) == {0}


def test_a_drift_report_is_read_as_published() -> None:
    now, prices = datetime.now(UTC), columns(500, seed=2)["estimated_price"]
    summary = compare(baseline_of_sample(sample(4000)), sample(500, seed=2, estimated_price=1.43 * prices)).summary()
    report = Report(
        variant="production", bundle="BO1", window_start=now, window_end=now, data_points=12, summary=summary, ts=now
    )
    found = drift_answer(report, "production", 24, now)
    read_as(DRIFT, found)
    assert found["overall_drift_detected"] is True
    indicators = found["drift_indicators"]
    assert indicators["prediction"] == indicators["estimated_price"] == summary["drift_indicators"]["estimated_price"]
    assert indicators["prediction"]["significant_drift"] and not indicators["bath"]["significant_drift"]
    assert indicators["prediction"]["drift_percentage"] == pytest.approx(43, abs=3)
    read_as({"status": "success", "timestamp": "2025-07-31T18:42:51.582510"}, found)
    conforms("Drift", found)
    nothing = drift_answer(None, "production", 24, now)
    read_as({**DRIFT, "drift_indicators": {}, "status": "success", "timestamp": ""}, nothing)


def test_a_prediction_and_the_locations_are_read_as_published(backend: Backend) -> None:
    home = {"total_sqft": 1000, "location": "1st Block Jayanagar", "bhk": 2, "bath": 2}
    read_as(PREDICTION, backend.client.post("/api/predict_home_price", json=home).get_json())
    read_as(LOCATIONS, backend.client.get("/api/get_location_names").get_json())


def conforms(component: str, found: Any) -> None:
    document = openapi.document()
    schema = {**document["components"]["schemas"][component], "components": document["components"]}
    jsonschema.validate(found, schema)
