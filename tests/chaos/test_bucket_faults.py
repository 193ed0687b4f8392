"""Every network fault in front of S3, under load: no failed response, and the next model is loaded afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine

from homeprices.adapters.object_store import S3Bucket
from tests.chaos import measurements
from tests.chaos.counts import Counts
from tests.chaos.proxy import Fault, FaultProxy, proxy_before
from tests.chaos.visitors import assert_nothing_was_lost_or_doubled, empty_log
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import Instance, eventually, publish, visitors

FACTORS = {f"BO{number}": 1.0 + number / 10 for number in range(1, 20)}
FAULTS = {
    "latency": Fault(latency_seconds=0.5),
    "timeout": Fault(timeout=True),
    "reset": Fault(reset=True),
    "down": Fault(down=True),
    "limit-data": Fault(limit_data=300),
}


@pytest.fixture
def proxy(s3_settings: dict[str, str]) -> Iterator[FaultProxy]:
    """A proxy that injects faults before the real server."""
    port = urlsplit(s3_settings["AWS_ENDPOINT_URL_S3"]).port
    assert port
    with proxy_before(port) as made:
        yield made


@pytest.fixture
def instance(make: Make, s3: S3Bucket, tmp_path: Path, engine: Engine, proxy: FaultProxy) -> Instance:
    """An instance with the bucket behind the proxy that serves the newest model."""
    empty_log(engine)
    for entry in list(s3.list("models/")):
        s3.delete(entry.key)
    publish(s3, tmp_path / "made", "BO1", factor=FACTORS["BO1"])
    started = make(AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{proxy.port}")
    started.start()
    eventually(lambda: started.serves("BO1"), "BO1 served")
    eventually(lambda: started.metric('database_up{variant="production"}') == 1, "the database seen by all workers")
    return started


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.timeout(1800)
def test_visitors_notice_no_fault_of_the_way_to_the_bucket(
    name: str, instance: Instance, engine: Engine, proxy: FaultProxy, s3: S3Bucket, tmp_path: Path, counts: Counts
) -> None:
    with visitors(instance, 2, FACTORS, 0.02) as memory:
        eventually(lambda: len(memory.ratings) > 20, "ratings while all is well")
        with proxy.suffering(FAULTS[name]):
            before = len(memory.statuses)
            publish(s3, tmp_path / "made", "BO2", factor=FACTORS["BO2"])
            end = time.monotonic() + counts.fault_seconds
            eventually(lambda: time.monotonic() > end and len(memory.statuses) > before + 200, "answers", 600)
            during = len(memory.statuses) - before
            if not FAULTS[name].latency_seconds:
                assert instance.serves("BO1")
        over = time.monotonic()
        eventually(lambda: instance.serves("BO2"), "BO2 served once it is over", 180)
        until_served = time.monotonic() - over
    assert (memory.broken, memory.without_id) == (0, 0)
    figures = assert_nothing_was_lost_or_doubled(engine, instance, memory)
    measurements.keep(
        f"s3-{name}",
        f"S3 behind a proxy with `{name}`, a model published meanwhile: no failed response, and the model is served "
        "afterwards",
        count=during,
        unit="responses during the fault",
        seconds_until_the_new_model_was_served=until_served,
        **figures,
    )
