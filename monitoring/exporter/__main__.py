"""The exporter of metrics that alerts need and no service exports itself: `python -m monitoring.exporter`.

It also serves the operations page (`monitoring.operations`), because it may observe every part of the stack already.

It polls the bucket, the database, Airflow, MLflow and the disk, each in its own thread, and exports the last samples.
So a scrape is instant, the load on the database does not grow with the number of scrapers, and a dependency that hangs
blocks nothing else. The last samples stay exported while a dependency is down, so that the age of the last evaluation
keeps growing and its alert can fire. `homeprices_dependency_up` is 0 then.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, make_wsgi_app, registry
from prometheus_client.metrics_core import Metric

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.errors import HomePricesError
from homeprices.log import configure_logging, get_logger
from homeprices.resources import Resources
from homeprices.settings import load_settings
from monitoring.exporter.bucket_collector import BucketCollector
from monitoring.exporter.database_collector import DatabaseCollector
from monitoring.exporter.metric_table import Sample, families
from monitoring.exporter.service_collectors import AirflowCollector, DiskCollector, MlflowCollector, RunsCollector
from monitoring.operations.server import open_operations, serving, with_metrics

POLL_SECONDS = 15.0
# Airflow queries its database for the list of runs, and a run takes minutes.
SLOW_POLL_SECONDS = {RunsCollector.name: 60.0}

log = get_logger("exporter")


class Collector(Protocol):
    """A source of samples. It may also have `unavailable()`, which returns the samples to export when it is down."""

    name: str

    def collect(self) -> list[Sample]:
        """Return the current samples. Raises when the source is down."""


@dataclass(frozen=True)
class Collected:
    """The result of a poll, its duration, and the time of the last success (seconds since 1970; 0 for never)."""

    samples: tuple[Sample, ...] = ()
    up: bool = False
    seconds: float = 0.0
    at: float = 0.0


class Exporter(registry.Collector):
    """Exports the last result of every collector."""

    def __init__(self, collectors: Iterable[Collector], clock: Callable[[], float] = time.time) -> None:
        self._collectors = tuple(collectors)
        self._clock = clock
        self._lock = threading.Lock()
        self._collected: dict[str, Collected] = {}

    def collect(self) -> Iterator[Metric]:
        """Return the last samples of every collector that was polled at least once."""
        return families([*self._samples()])

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering does not collect."""
        return ()

    def poll(self, collector: Collector) -> None:
        """Poll one collector. Log when it goes down and when it recovers."""
        before, began = self._collected.get(collector.name, Collected()), time.monotonic()
        try:
            samples, up, reason = tuple(collector.collect()), True, ""
        except Exception as error:  # no error may end the polling thread
            unavailable = getattr(collector, "unavailable", None)
            samples, up, reason = (
                tuple(unavailable()) if unavailable else before.samples,
                False,
                f"{type(error).__name__}: {error}",
            )
        seconds, at = time.monotonic() - began, self._clock() if up else before.at
        if not up and (before.up or collector.name not in self._collected):
            log.warning("dependency_lost", dependency=collector.name, reason=reason)
        if up and not before.up:
            log.info("dependency_reached", dependency=collector.name)
        with self._lock:
            self._collected[collector.name] = Collected(samples, up, seconds, at)

    def watch(self, stopping: threading.Event, every_seconds: float = POLL_SECONDS) -> list[threading.Thread]:
        """Poll each collector in its own thread until `stopping` is set; return the threads."""

        def run(collector: Collector) -> None:
            while not stopping.is_set():
                self.poll(collector)
                stopping.wait(max(every_seconds, SLOW_POLL_SECONDS.get(collector.name, 0.0)))

        threads = [threading.Thread(target=run, args=(one,), name=one.name, daemon=True) for one in self._collectors]
        for thread in threads:
            thread.start()
        return threads

    def _samples(self) -> Iterator[Sample]:
        best: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
        with self._lock:
            everything = list(self._collected.items())
        for name, collected in everything:
            labels = {"dependency": name}
            yield Sample("homeprices_dependency_up", float(collected.up), labels)
            yield Sample("homeprices_dependency_check_duration_seconds", collected.seconds, labels)
            if collected.at:
                yield Sample("homeprices_dependency_last_success_timestamp_seconds", collected.at, labels)
            for sample in collected.samples:  # two collectors may report the same process: export the later time
                key = sample.name, tuple(sorted(sample.labels.items()))
                best[key] = max(best.get(key, sample), sample, key=lambda one: one.value)
        yield from best.values()


def collectors(resources: Resources) -> list[Collector]:
    """Return every collector of the exporter."""
    settings = resources.settings
    bucket = BucketCollector(resources.bucket)
    return [
        bucket,
        DatabaseCollector(resources.engine, lambda: bucket.record),
        AirflowCollector(settings.airflow_url),
        MlflowCollector(settings.mlflow_tracking_uri),
        RunsCollector(AirflowClient(settings)),
        DiskCollector(settings.state_dir, settings.spool_limit_bytes),
    ]


def main() -> int:
    """Serve /metrics and the operations page until SIGTERM or SIGINT."""
    try:
        settings = load_settings()
    except HomePricesError as error:
        print(f"exporter: {error}", file=sys.stderr)
        return 1
    configure_logging(settings, "exporter")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # else a line for each request to Airflow, at each refresh
    stopping = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stopping.set())
    resources = Resources(settings)
    exporter = Exporter(collectors(resources))
    registry = CollectorRegistry()
    registry.register(exporter)
    exporter.watch(stopping)
    app = with_metrics(open_operations(resources), make_wsgi_app(registry))
    with serving(app, settings.exporter_host, settings.exporter_port):
        log.info("exporter_started", host=settings.exporter_host, port=settings.exporter_port)
        stopping.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
