"""The agent's Prometheus metrics: responses by the access log, and the state of the configuration."""

from __future__ import annotations

from functools import partial
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from router.access_log import AccessLogEntry
from router.reload import Outcome

BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ASSIGNED = ("assigned_variant", "variant")  # `variant`, the former name of the label, is removed in the next release


class RouterMetrics:
    """The agent's metrics in a separate registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        self.requests = counter("router_requests", "Responses by assigned variant and status", [*ASSIGNED, "status"])
        self.fallbacks = counter("router_fallbacks", "Predictions by production in place of the candidate")
        self.seconds = Histogram(
            "router_prediction_duration_seconds",
            "Time from request to response",
            ASSIGNED,
            registry=self.registry,
            buckets=BUCKETS_SECONDS,
        )
        self.key_requests = counter("router_key_requests", "Requests with an API key", ["key", "outcome"])
        self.key_last_used = gauge("router_key_last_used_timestamp_seconds", "When an API key was last used", ["key"])
        self.damaged_lines = counter("router_log_lines_damaged", "Lines of the access log that could not be parsed")
        self.share = gauge("router_candidate_share_percent", "Share of visitors assigned to the candidate")
        self.epoch = gauge("router_experiment_epoch", "Epoch of the control record in force")
        self.config = gauge("router_config_info", "1 for the revision in force", ["revision"])
        self.changes = counter("router_config_changes", "Changes of the configuration by outcome", ["outcome"])
        self.starts = counter("router_nginx_starts", "Starts of Nginx by the agent")
        self.nginx_up = gauge("router_nginx_up", "1 while Nginx runs")
        self.breaker_open = gauge("router_breaker_open", "1 while the breaker holds the share at zero")
        self.breaker_trips = counter("router_breaker_trips", "Trips of the breaker")
        self.control_failures = gauge("router_control_record_failures", "Failed reads of the control record")
        for outcome in get_args(Outcome):
            self.changes.labels(outcome)

    def count(self, entry: AccessLogEntry) -> None:
        """Count one entry of the access log. Only visits are requests; probes would hide that no visitor comes."""
        if entry.is_visit:
            self.requests.labels(entry.assigned, entry.assigned, str(entry.status)).inc()
        if entry.fell_back:
            self.fallbacks.inc()
        if entry.key:
            self.key_requests.labels(entry.key, entry.key_outcome).inc()
            self.key_last_used.labels(entry.key).set(entry.at)
        if entry.is_prediction:
            self.seconds.labels(entry.assigned, entry.assigned).observe(entry.seconds)

    def serve_revision(self, revision: str) -> None:
        """Set the revision in force."""
        self.config.clear()
        self.config.labels(revision).set(1)
