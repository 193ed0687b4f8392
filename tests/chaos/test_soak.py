"""A long run at half load: memory and file descriptors stay flat, and no record is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine

from homeprices.adapters.object_store import S3Bucket
from tests.chaos import measurements
from tests.chaos.counts import Counts
from tests.chaos.visitors import assert_nothing_was_lost_or_doubled, empty_log
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import Memory, eventually, publish, visitors

FACTORS = {"BO1": 1.0}
VISITORS = 4
WARM_UP_SECONDS = 15.0
SAMPLES = 60
MOST_GROWTH_MIB = 10.0
"""Of a worker, from the first third to the last. A leak of 1 KB per prediction would show 10 MiB after 10,000."""

MOST_MORE_DESCRIPTORS = 4  # one connection more or less


@dataclass
class Watched:
    """Samples of one worker."""

    resident_mib: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


def third(values: list[float], which: int) -> float:
    """Return the median of the first (0) or last (2) third."""
    size = len(values) // 3
    part = sorted(values[which * size : (which + 1) * size])
    return part[len(part) // 2]


def load(answered: Callable[[], int], seconds: float) -> float:
    """Return the responses per second over a period."""
    before, started = answered(), time.monotonic()
    time.sleep(seconds)
    return (answered() - before) / (time.monotonic() - started)


@pytest.mark.timeout(5400)
def test_at_half_load_memory_and_descriptors_stay_flat(
    make: Make, s3: S3Bucket, tmp_path: Path, engine: Engine, counts: Counts
) -> None:
    empty_log(engine)
    publish(s3, tmp_path / "made", "BO1")
    instance = make()
    instance.start()
    eventually(lambda: instance.serves("BO1"), "BO1 served")
    with visitors(instance, VISITORS, FACTORS) as flat_out:
        rate = load(lambda: len(flat_out.statuses), WARM_UP_SECONDS)
    pause = 2 * VISITORS / (rate / 2) - 2 * VISITORS / rate  # a visit is two requests; half as many as before
    watched = {pid: Watched() for pid in instance.workers()}
    with visitors(instance, VISITORS, FACTORS, pause) as memory:
        half = load(lambda: len(memory.statuses), WARM_UP_SECONDS)
        for _ in range(SAMPLES):
            time.sleep(counts.soak_seconds / SAMPLES)
            for pid, one in watched.items():
                process = psutil.Process(pid)
                one.resident_mib.append(process.memory_info().rss / 2**20)
                one.descriptors.append(process.num_fds())
    assert set(instance.workers()) == set(watched)
    assert (memory.broken, memory.without_id) == (0, 0)
    merged = Memory(
        estimates={**flat_out.estimates, **memory.estimates},
        ratings={**flat_out.ratings, **memory.ratings},
        statuses=flat_out.statuses + memory.statuses,
        wrong=flat_out.wrong + memory.wrong,
    )
    figures = assert_nothing_was_lost_or_doubled(engine, instance, merged)
    growth = {pid: third(one.resident_mib, 2) - third(one.resident_mib, 0) for pid, one in watched.items()}
    more = {
        pid: third([*map(float, one.descriptors)], 2) - third([*map(float, one.descriptors)], 0)
        for pid, one in watched.items()
    }
    assert max(growth.values()) < MOST_GROWTH_MIB
    assert max(more.values()) <= MOST_MORE_DESCRIPTORS
    measurements.keep(
        "soak",
        "A long run at half load: worker memory and file descriptors stay flat, no failed response, no lost record",
        count=len(memory.statuses),
        unit="requests",
        seconds=counts.soak_seconds,
        responses_a_second_at_full_load=rate,
        responses_a_second_at_half_load=half,
        largest_growth_of_a_worker_in_mib=max(growth.values()),
        largest_growth_of_descriptors=max(more.values()),
        resident_mib_of_the_largest_worker=max(max(one.resident_mib) for one in watched.values()),
        **figures,
    )
