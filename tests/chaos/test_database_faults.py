"""Every network fault in front of PostgreSQL, under load: no failed response, and every record is stored once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import Engine

from homeprices.adapters.object_store import S3Bucket
from tests.chaos import measurements
from tests.chaos.counts import Counts
from tests.chaos.proxy import Fault, FaultProxy, proxy_before
from tests.chaos.visitors import Wandering, assert_nothing_was_lost_or_doubled, empty_log
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import Instance, eventually, publish, visitors

FACTORS = {"BO1": 1.0}
FAULTS = {
    "latency": Fault(latency_seconds=0.3),
    "timeout": Fault(timeout=True),
    "reset": Fault(reset=True),
    "down": Fault(down=True),
    "limit-data": Fault(limit_data=300),
}
UP_FOR_ALL_WORKERS = 'database_up{variant="production"}'
SLOWEST_SECONDS = 15  # the timeout of these visitors
SILENCE_SECONDS = 20.0
"""A silent server must be silent for longer, otherwise its callers would only be late."""


@pytest.fixture
def proxy(variables: dict[str, str]) -> Iterator[FaultProxy]:
    """A proxy that injects faults before the real server."""
    with proxy_before(int(variables["POSTGRES_PORT"])) as made:
        yield made


@pytest.fixture
def instance(make: Make, s3: S3Bucket, tmp_path: Path, engine: Engine, proxy: FaultProxy) -> Instance:
    """An instance with PostgreSQL behind the proxy and reserved ids."""
    empty_log(engine)
    publish(s3, tmp_path / "made", "BO1")
    started = make(POSTGRES_PORT=str(proxy.port))
    started.start()
    eventually(lambda: started.serves("BO1"), "BO1 served")
    eventually(lambda: started.metric(UP_FOR_ALL_WORKERS) == 1, "the database seen by all workers")
    return started


@contextmanager
def health_watched(instance: Instance) -> Iterator[list[float]]:
    """Yield the durations of `/api/health`, in seconds."""
    took: list[float] = []
    stopping = Event()

    def watch() -> None:
        while not stopping.wait(0.2):
            started = time.monotonic()
            instance.get("/api/health")
            took.append(time.monotonic() - started)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    yield took
    stopping.set()
    watcher.join(SLOWEST_SECONDS)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.timeout(1800)
def test_visitors_notice_no_fault_of_the_way_to_postgresql(
    name: str, instance: Instance, engine: Engine, proxy: FaultProxy, counts: Counts
) -> None:
    with visitors(instance, 3, FACTORS, 0.02, Wandering) as memory:
        eventually(lambda: len(memory.ratings) > 20, "ratings while all is well")
        with proxy.suffering(FAULTS[name]), health_watched(instance) as took:
            during = len(memory.statuses)
            seconds = max(counts.fault_seconds, SILENCE_SECONDS if FAULTS[name].timeout else 0.0)
            end = time.monotonic() + seconds
            eventually(lambda: time.monotonic() > end and len(memory.statuses) > during + 200, "answers", 600)
            during = len(memory.statuses) - during
        eventually(lambda: instance.metric(UP_FOR_ALL_WORKERS) == 1, "the database seen again by all workers")
        rated = len(memory.ratings)
        eventually(lambda: len(memory.ratings) > rated + 20, "ratings while all is well again")
    assert (memory.broken, memory.without_id) == (0, 0)
    figures = assert_nothing_was_lost_or_doubled(engine, instance, memory)
    measurements.keep(
        f"postgresql-{name}",
        f"PostgreSQL behind a proxy with `{name}`: no failed response, no lost or doubled record",
        count=during,
        unit="responses during the fault",
        health_median_milliseconds=1000 * sorted(took)[len(took) // 2],
        **figures,
    )
