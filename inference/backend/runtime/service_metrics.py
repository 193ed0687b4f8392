"""The Prometheus metrics of the service. With several workers, the values are in files that all of them write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from homeprices.errors import BundleFault
from homeprices.names import Variant
from homeprices.predictions.drain import DrainReport
from homeprices.predictions.feedback import FeedbackType
from inference.backend.runtime.metric_files import WorkerMetrics

ErrorReason = Literal["invalid", "no_model", "model_error"]
GaugeMode = Literal["livesum", "livemax", "livemin", "livemostrecent"]
"""How the values of several workers are combined; every mode drops workers that have exited."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# A prediction takes well under a millisecond; the highest bounds show an overloaded machine.
DURATION_BOUNDS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_BOUNDS_HOMES = (1, 10, 100, 1000, 10_000)
DRAIN_OUTCOMES = ("stored", "rejected", "torn", "orphaned")

# Removed in the next release, with `model_refused_number`: former label values, counted in addition to the present
# ones.
FORMER_VALUES = {
    "model_error": "failed",
    "unchanged": "same",
    "reloaded": "swapped",
    "rejected": "refused",
    "not_published": "none",
    "orphaned": "dropped",
}


class Metrics:
    """The metrics of one instance, each with its `variant`. One object per process."""

    def __init__(self, variant: Variant) -> None:
        self.registry = CollectorRegistry()
        self._variant = variant
        self.predictions = self._counter("predictions", "Predictions")
        self.duration = Histogram(
            "prediction_duration_seconds",
            "Time from the arrival of a request to its prediction",
            ["variant"],
            buckets=DURATION_BOUNDS_SECONDS,
            registry=self.registry,
        ).labels(variant)
        errors = Counter(
            "prediction_errors", "Requests for a prediction that failed", ["variant", "reason"], registry=self.registry
        )
        self._errors = {reason: _children(errors, variant, reason) for reason in get_args(ErrorReason)}
        self._feedback = Counter("feedback", "Feedback accepted", ["variant", "feedback_type"], registry=self.registry)
        self.unlogged = self._counter("predictions_unlogged", "Predictions without a prediction id, not in the log")
        self.fallbacks = self._counter("prediction_fallbacks", "Predictions in place of the other variant")
        self.cookies_withheld = self._counter(
            "cookies_withheld", "New visitors without a cookie: too many of a network"
        )
        self.batch_size = Histogram(
            "prediction_batch_homes",
            "Homes in a batch request",
            ["variant"],
            buckets=BATCH_BOUNDS_HOMES,
            registry=self.registry,
        ).labels(variant)
        self.in_flight = self._gauge("requests_in_flight", "Requests in progress", "livesum")
        self.cpu = self._gauge("system_cpu_percent", "CPU of this machine in use", "livemostrecent")
        self.memory = self._gauge("system_memory_percent", "Memory of this machine in use", "livemostrecent")
        self.model_version = self._gauge(
            "model_version_number", "Number of the served version; 0: none", "livemostrecent"
        )
        self.model_trained = self._gauge(
            "model_trained_timestamp_seconds", "When the model was trained", "livemostrecent"
        )
        self.model_stale = self._gauge("model_stale", "1: from the local cache, not confirmed by the bucket", "livemax")
        rejected = [
            Gauge(
                name,
                "Number of the newest version if it was rejected, by fault; 0: none",
                ["variant", "fault"],
                registry=self.registry,
                multiprocess_mode="livemax",
            )
            for name in ("model_rejected_version", "model_refused_number")
        ]
        self._rejected = {fault: [one.labels(variant, fault) for one in rejected] for fault in get_args(BundleFault)}
        self._polls = Counter("model_polls", "Checks for a newer model", ["variant", "outcome"], registry=self.registry)
        self.spool_bytes = self._gauge("spool_bytes", "Size of the records that are not in PostgreSQL yet", "livemax")
        self.spool_records = self._gauge("spool_records", "Records that are not in PostgreSQL yet", "livesum")
        self.spool_oldest = self._gauge(
            "spool_oldest_seconds", "Age of the oldest record that is not in PostgreSQL yet", "livemax"
        )
        self.database_up = self._gauge("database_up", "1: PostgreSQL answers", "livemin")
        drained = Counter(
            "spool_drained", "Records removed from the spool", ["variant", "outcome"], registry=self.registry
        )
        self._drained = {outcome: _children(drained, variant, outcome) for outcome in DRAIN_OUTCOMES}

    def feedback(self, kind: FeedbackType) -> None:
        """Count a feedback."""
        self._feedback.labels(self._variant, kind).inc()

    def error(self, reason: ErrorReason, count: int = 1) -> None:
        """Count requests (of a batch: homes) that got no price."""
        for child in self._errors[reason]:
            child.inc(count)

    def rejected(self, number: int, fault: BundleFault | None) -> None:
        """Set the number of the rejected version and its fault; 0 and None: none is rejected."""
        for name, gauges in self._rejected.items():
            for gauge in gauges:
                gauge.set(number if name == fault else 0)

    def polled(self, outcome: str) -> None:
        """Count a poll by its outcome: `unchanged`, `reloaded`, `rejected`, `not_published`, `unavailable`."""
        for child in _children(self._polls, self._variant, outcome):
            child.inc()

    def drained(self, report: DrainReport) -> None:
        """Copy the report of one pass of the drain."""
        self.spool_bytes.set(report.spool_bytes)
        self.spool_records.set(report.spool_records)
        self.spool_oldest.set(report.oldest_seconds)
        self.database_up.set(report.database == "up")
        counts = (report.stored, report.refused, report.torn, report.dropped)
        for outcome, count in zip(DRAIN_OUTCOMES, counts, strict=True):
            for child in self._drained[outcome]:
                child.inc(count)

    def exposition(self) -> bytes:
        """Return the text that Prometheus scrapes, of all workers together."""
        self.cpu.set(psutil.cpu_percent(interval=None))
        self.memory.set(psutil.virtual_memory().percent)
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if not folder:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        registry.register(WorkerMetrics(Path(folder)))
        return generate_latest(registry)

    def _counter(self, name: str, description: str) -> Counter:
        return Counter(name, description, ["variant"], registry=self.registry).labels(self._variant)

    def _gauge(self, name: str, description: str, mode: GaugeMode) -> Gauge:
        gauge = Gauge(name, description, ["variant"], registry=self.registry, multiprocess_mode=mode)
        return gauge.labels(self._variant)


def _children(counter: Counter, variant: Variant, value: str) -> list[Counter]:
    """Return the counter of a label value, and that of its former name."""
    return [counter.labels(variant, one) for one in (value, FORMER_VALUES.get(value)) if one]
