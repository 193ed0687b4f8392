"""The metrics of a serving instance."""

from __future__ import annotations

import pytest

from homeprices.predictions.drain import DrainReport
from inference.backend.runtime.service_metrics import Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"variant": "production", **labels})


@pytest.fixture
def metrics() -> Metrics:
    """The metrics of a service."""
    return Metrics("production")


@pytest.mark.parametrize(("reason", "former"), [("model_error", "failed"), ("no_model", None), ("invalid", None)])
def test_an_error_is_counted_under_its_reason_and_its_former_name(
    metrics: Metrics, reason: str, former: str | None
) -> None:
    metrics.error(reason, 3)  # type: ignore[arg-type]
    counts = {one: value(metrics, "prediction_errors_total", reason=one) for one in (reason, former) if one}
    assert counts == dict.fromkeys(counts, 3.0)


@pytest.mark.parametrize(
    ("outcome", "former"),
    [("unchanged", "same"), ("reloaded", "swapped"), ("rejected", "refused"), ("not_published", "none")],
)
def test_a_poll_is_counted_under_both_names(metrics: Metrics, outcome: str, former: str) -> None:
    metrics.polled(outcome)
    assert [value(metrics, "model_polls_total", outcome=one) for one in (outcome, former)] == [1, 1]


def test_the_outcomes_of_a_drain_have_the_counts_of_its_report(metrics: Metrics) -> None:
    metrics.drained(DrainReport("up", 1, 2, 3, 4, spool_bytes=10, spool_records=5, oldest_seconds=6.0))
    counts = {"stored": 1, "rejected": 2, "refused": 2, "torn": 3, "orphaned": 4, "dropped": 4}
    assert {one: value(metrics, "spool_drained_total", outcome=one) for one in counts} == counts


@pytest.mark.parametrize("name", ["model_rejected_version", "model_refused_number"])
def test_a_rejected_version_is_shown_at_its_fault_until_it_serves(metrics: Metrics, name: str) -> None:
    metrics.rejected(3, "slow")
    assert [value(metrics, name, fault=fault) for fault in ("slow", "damaged")] == [3, 0]
    metrics.rejected(0, None)
    assert value(metrics, name, fault="slow") == 0
