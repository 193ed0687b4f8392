"""The exporter: the last samples stay exported while their source is down, and the outage is exported too."""

from __future__ import annotations

import threading

import pytest
from prometheus_client import CollectorRegistry

from homeprices.errors import StorageUnavailable
from monitoring.exporter.__main__ import Exporter
from monitoring.exporter.metric_table import Sample, families

AGE = "homeprices_process_last_success_timestamp_seconds"


class Source:
    """Returns `samples` until they are None."""

    def __init__(self, name: str, samples: list[Sample] | None) -> None:
        self.name, self.samples = name, samples

    def collect(self) -> list[Sample]:
        if self.samples is None:
            raise StorageUnavailable(f"{self.name} is away")
        return self.samples


class Hopeless(Source):
    """Has samples to export while it is down."""

    def unavailable(self) -> list[Sample]:
        return [Sample("homeprices_airflow_component_healthy", 0.0, {"component": "scheduler"})]


def trained(at: float) -> Sample:
    return Sample(AGE, at, {"process": "training"})


def shown(exporter: Exporter) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(exporter)
    return registry


def test_the_last_samples_stay_exported_while_their_source_is_down() -> None:
    now = [100.0]
    source = Source("bucket", [trained(50)])
    exporter = Exporter([source], clock=lambda: now[0])
    exporter.poll(source)
    source.samples, now[0] = None, 200.0
    exporter.poll(source)
    registry = shown(exporter)
    assert registry.get_sample_value(AGE, {"process": "training"}) == 50
    assert registry.get_sample_value("homeprices_dependency_up", {"dependency": "bucket"}) == 0
    assert (
        registry.get_sample_value("homeprices_dependency_last_success_timestamp_seconds", {"dependency": "bucket"})
        == 100
    )


def test_a_source_that_never_answered_is_down_and_has_no_last_success() -> None:
    source = Source("database", None)
    exporter = Exporter([source])
    exporter.poll(source)
    registry = shown(exporter)
    assert registry.get_sample_value("homeprices_dependency_up", {"dependency": "database"}) == 0
    assert (
        registry.get_sample_value("homeprices_dependency_last_success_timestamp_seconds", {"dependency": "database"})
        is None
    )


def test_a_source_may_export_samples_while_it_is_down() -> None:
    source = Hopeless("airflow", None)
    exporter = Exporter([source])
    exporter.poll(source)
    labels = {"component": "scheduler"}
    assert shown(exporter).get_sample_value("homeprices_airflow_component_healthy", labels) == 0


def test_of_two_reports_of_a_process_the_later_one_is_exported() -> None:
    sources = Source("bucket", [trained(50)]), Source("airflow-runs", [trained(70)])
    exporter = Exporter(sources)
    for source in sources:
        exporter.poll(source)
    assert shown(exporter).get_sample_value(AGE, {"process": "training"}) == 70


def test_no_error_ends_the_polling() -> None:
    class Broken(Source):
        def collect(self) -> list[Sample]:
            raise ValueError("an unexpected error")

    good, seen, stopping = Source("bucket", [trained(50)]), threading.Event(), threading.Event()

    class Last(Exporter):
        def poll(self, collector: object) -> None:
            super().poll(collector)  # type: ignore[arg-type]
            if len(self._collected) == 2:
                seen.set()

    exporter = Last([Broken("disk", []), good])
    threads = exporter.watch(stopping, every_seconds=0.01)
    assert seen.wait(60)
    stopping.set()
    for thread in threads:
        thread.join(60)
    up = {name: shown(exporter).get_sample_value("homeprices_dependency_up", {"dependency": name})
          for name in ("disk", "bucket")}  # fmt: skip
    assert up == {"disk": 0, "bucket": 1}


def test_a_name_that_is_not_in_the_table_is_rejected() -> None:
    with pytest.raises(KeyError):
        list(families([Sample("homeprices_of_no_use", 1.0)]))
