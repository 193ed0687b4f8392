"""No space for another record: the spool at its limit, and a full disk."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from homeprices.adapters.object_store import S3Bucket
from tests.chaos import measurements
from tests.chaos.proxy import Fault, proxy_before
from tests.chaos.visitors import assert_nothing_was_lost_or_doubled, empty_log
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import Instance, Memory, Visitor, eventually, publish, visitors

FACTORS = {"BO1": 1.0}
DISK_BYTES = 8 * 2**20
UNLOGGED = 'predictions_unlogged_total{variant="production"}'


def rate(instance: Instance, number: int) -> tuple[int, str | None]:
    """Return status and Retry-After of a rating."""
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=15)
    body = json.dumps({"prediction_id": number, "feedback_type": "rating", "feedback_value": 3})
    connection.request("POST", "/api/feedback", body, {"Content-Type": "application/json", "X-Visitor-Id": "late"})
    answer = connection.getresponse()
    found = answer.status, answer.headers["Retry-After"]
    connection.close()
    return found


class Silent(Visitor):
    """Visitors who request and do not rate."""

    def _rate(self, number: int, stars: int, visitor: str) -> None:
        """Send nothing."""


def started(instance: Instance, s3: S3Bucket, folder: Path) -> Instance:
    publish(s3, folder / "made", "BO1")
    instance.start()
    eventually(lambda: instance.serves("BO1"), "BO1 served")
    eventually(lambda: instance.metric('database_up{variant="production"}') == 1, "the database seen by all workers")
    return instance


def assert_goes_on_without_record(instance: Instance, memory: Memory) -> int:
    """Check that predictions have no id, ratings get 503, and a counter counts them; return their number."""
    eventually(lambda: memory.without_id > 100, "estimates without an id", 300)
    # A rating is smaller than a prediction: a few may fit into the last block of a worker's file, and are stored.
    eventually(lambda: rate(instance, max(memory.estimates)) == (503, "30"), "ratings refused with Retry-After")
    eventually(lambda: instance.metric(UNLOGGED) > 100, "the counter")
    return memory.without_id


@pytest.mark.timeout(900)
def test_at_the_spools_limit_estimates_go_on_and_all_that_was_acknowledged_is_stored(
    make: Make, s3: S3Bucket, tmp_path: Path, engine: Engine, variables: dict[str, str]
) -> None:
    empty_log(engine)
    with proxy_before(int(variables["POSTGRES_PORT"])) as proxy:
        instance = make(POSTGRES_PORT=str(proxy.port), HOMEPRICES_SPOOL_LIMIT_BYTES=str(2**16), WEB_CONCURRENCY="1")
        started(instance, s3, tmp_path)
        with visitors(instance, 2, FACTORS, 0.005, Silent) as memory:
            eventually(lambda: len(memory.estimates) > 20, "estimates while all is well")
            with proxy.suffering(Fault(down=True)):
                unlogged = assert_goes_on_without_record(instance, memory)
            eventually(lambda: instance.metric('database_up{variant="production"}') == 1, "the database seen again")
            logged = len(memory.estimates)
            eventually(lambda: len(memory.estimates) > logged + 20, "estimates with ids again")
        assert rate(instance, max(memory.estimates))[0] == 200
        assert_kept(
            "spool-limit", "The spool is at its limit while PostgreSQL is down", engine, instance, memory, unlogged
        )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small file system can only be mounted by root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Write a file that takes all free space."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        size = 2**20
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
    return path


@pytest.mark.timeout(900)
def test_on_a_full_disk_estimates_go_on_and_all_that_was_acknowledged_is_stored(
    small_disk: Path, s3: S3Bucket, tmp_path: Path, engine: Engine, variables: dict[str, str]
) -> None:
    empty_log(engine)
    instance = Instance(tmp_path / "state", {**variables, "HOMEPRICES_STATE_DIR": str(small_disk / "state")})
    try:
        started(instance, s3, tmp_path)
        with visitors(instance, 2, FACTORS, 0.005, Silent) as memory:
            eventually(lambda: len(memory.estimates) > 20, "estimates while all is well")
            workers = instance.workers()
            filler = fill(small_disk)
            unlogged = assert_goes_on_without_record(instance, memory)
            assert instance.workers() == workers
            filler.unlink()
            logged = len(memory.estimates)
            eventually(lambda: len(memory.estimates) > logged + 20, "estimates with ids again")
        instance.folder = small_disk / "state"
        assert_kept("full-disk", "The disk is full", engine, instance, memory, unlogged)
    finally:
        instance.folder = tmp_path / "state"
        instance.stop()


def assert_kept(name: str, claim: str, engine: Engine, instance: Instance, memory: Memory, unlogged: int) -> None:
    assert (memory.broken, memory.failed) == (0, [])
    figures = assert_nothing_was_lost_or_doubled(engine, instance, memory)
    measurements.keep(
        name,
        f"{claim}: predictions continue with `prediction_id: null`, ratings get 503 with Retry-After, everything "
        "acknowledged is stored",
        count=unlogged,
        unit="predictions without a record",
        **figures,
    )
