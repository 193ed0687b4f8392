"""Exports what alerts rest on and no other part tells: `python -m monitoring.exporter`.

It looks at the bucket, the database, Airflow, MLflow and the disk by itself, each in a thread of its own, and shows
what it last saw; so a scrape is instant, the load on the database does not grow with the number of scrapers, and a
dependency that hangs holds up nothing else. What was seen stays shown when a dependency is away: the age of the last
evaluation goes on growing, which is what its alert rests on. `homeprices_dependency_up` says so.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, registry, start_http_server
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

LOOK_SECONDS = 15.0
# Airflow answers the list of a DAG's runs out of its database, and a run takes minutes.
SELDOM_SECONDS = {RunsCollector.name: 60.0}

log = get_logger("exporter")


class Collector(Protocol):
    """Something that can be looked at. It may also have `unavailable()`: what to say when it cannot be seen."""

    name: str

    def collect(self) -> list[Sample]:
        """The samples of this moment. Raises when they cannot be had."""


@dataclass(frozen=True)
class Collected:
    """The outcome of a look, and when something was last seen (seconds since 1970; 0 for never)."""

    samples: tuple[Sample, ...] = ()
    up: bool = False
    seconds: float = 0.0
    at: float = 0.0


class Exporter(registry.Collector):
    """Shows the last look at every observer."""

    def __init__(self, observers: Iterable[Collector], clock: Callable[[], float] = time.time) -> None:
        self._observers = tuple(observers)
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, Collected] = {}

    def collect(self) -> Iterator[Metric]:
        """Everything as it was last seen; an observer that was never looked at is not shown."""
        return families([*self._samples()])

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not collect."""
        return ()

    def look(self, observer: Collector) -> None:
        """Look at one observer. Its failure is logged when it begins and when it ends."""
        before, began = self._seen.get(observer.name, Collected()), time.monotonic()
        try:
            samples, up, reason = tuple(observer.collect()), True, ""
        except Exception as error:  # a look must not end the watch, whatever it met
            unavailable = getattr(observer, "unavailable", None)
            samples, up, reason = (
                tuple(unavailable()) if unavailable else before.samples,
                False,
                f"{type(error).__name__}: {error}",
            )
        seconds, at = time.monotonic() - began, self._clock() if up else before.at
        if not up and (before.up or observer.name not in self._seen):
            log.warning("dependency is away", dependency=observer.name, reason=reason)
        if up and not before.up:
            log.info("dependency is seen", dependency=observer.name)
        with self._lock:
            self._seen[observer.name] = Collected(samples, up, seconds, at)

    def watch(self, stopping: threading.Event, every_seconds: float = LOOK_SECONDS) -> list[threading.Thread]:
        """Look at each observer in a thread of its own until `stopping` is set."""

        def go_on(observer: Collector) -> None:
            while not stopping.is_set():
                self.look(observer)
                stopping.wait(max(every_seconds, SELDOM_SECONDS.get(observer.name, 0.0)))

        threads = [threading.Thread(target=go_on, args=(one,), name=one.name, daemon=True) for one in self._observers]
        for thread in threads:
            thread.start()
        return threads

    def _samples(self) -> Iterator[Sample]:
        best: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
        with self._lock:
            everything = list(self._seen.items())
        for name, seen in everything:
            labels = {"dependency": name}
            yield Sample("homeprices_dependency_up", float(seen.up), labels)
            yield Sample("homeprices_dependency_check_duration_seconds", seen.seconds, labels)
            if seen.at:
                yield Sample("homeprices_dependency_last_success_timestamp_seconds", seen.at, labels)
            for sample in seen.samples:  # of two observers that tell of the same process, the later moment is true
                key = sample.name, tuple(sorted(sample.labels.items()))
                best[key] = max(best.get(key, sample), sample, key=lambda one: one.value)
        yield from best.values()


def collectors(resources: Resources) -> list[Collector]:
    """All that the exporter looks at."""
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
    """Serve /metrics until SIGTERM or SIGINT."""
    try:
        settings = load_settings()
    except HomePricesError as error:
        print(f"exporter: {error}", file=sys.stderr)
        return 1
    configure_logging(settings, "exporter")
    stopping = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stopping.set())
    exporter = Exporter(collectors(Resources(settings)))
    registry = CollectorRegistry()
    registry.register(exporter)
    exporter.watch(stopping)
    server, _ = start_http_server(settings.exporter_port, settings.exporter_host, registry)
    log.info("exporting", host=settings.exporter_host, port=settings.exporter_port)
    stopping.wait()
    server.shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
