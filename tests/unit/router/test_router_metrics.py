"""The agent's metrics."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from homeprices.names import PREDICT_PATH
from router.access_log import AccessLogEntry
from router.router_metrics import RouterMetrics


def test_responses_are_counted_by_assigned_variant_and_status() -> None:
    metrics = RouterMetrics()
    fallback = AccessLogEntry(1.0, "POST", PREDICT_PATH, 200, "candidate", "production", True, 1, 0.2, 0.2, "500 : 200")
    page = AccessLogEntry(1.0, "GET", "/api/health", 404, "production", "production", False, 1, 0.01, 0.0, "404")
    for answer in (fallback, fallback, page):
        metrics.count(answer)
    text = generate_latest(metrics.registry).decode()
    assert 'router_requests_total{assigned_variant="candidate",status="200",variant="candidate"} 2.0' in text
    assert 'router_requests_total{assigned_variant="production",status="404",variant="production"} 1.0' in text
    assert "router_fallbacks_total 2.0" in text
    assert 'router_prediction_duration_seconds_count{assigned_variant="candidate",variant="candidate"} 2.0' in text
    assert 'router_prediction_duration_seconds_count{assigned_variant="production"' not in text


def test_one_revision_is_in_force_at_a_time() -> None:
    metrics = RouterMetrics()
    metrics.serve_revision("aaa")
    metrics.serve_revision("bbb")
    text = generate_latest(metrics.registry).decode()
    assert 'router_config_info{revision="bbb"} 1.0' in text
    assert "aaa" not in text


def test_outcomes_are_exported_before_they_happen() -> None:
    text = generate_latest(RouterMetrics().registry).decode()
    for outcome in ("applied", "unchanged", "refused", "unconfirmed", "failed"):
        assert f'router_config_changes_total{{outcome="{outcome}"}} 0.0' in text


@pytest.mark.parametrize("path", ["/router/version", "/operations", "/api/status", "/metrics"])
def test_a_health_check_and_an_operator_are_no_requests(path: str) -> None:
    """Or NoTraffic could not fire, and a page that refreshes itself would spend the visitors' error budget."""
    metrics = RouterMetrics()
    metrics.count(AccessLogEntry(1.0, "GET", path, 502, "production", "production", False, 1, 0, 0, ""))
    assert "router_requests_total{" not in generate_latest(metrics.registry).decode()
