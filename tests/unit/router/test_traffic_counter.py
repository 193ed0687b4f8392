"""The traffic counter: every line is counted once, whatever is killed, rotated or unavailable meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import StorageUnavailable
from homeprices.release import traffic_counts
from homeprices.release.traffic_counts import DailyTrafficCounts
from router import traffic_counter as module
from router.access_log import LogFollower
from router.traffic_counter import FILE, TrafficCounter
from tests.support.stored import PINNED

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0


class AwayBucket(MemoryBucket):
    """A bucket that is unavailable at first."""

    away = True

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        if self.away:
            raise StorageUnavailable("the bucket is away")
        return super().put(key, body, if_absent=if_absent, if_match=if_match)


def write(folder: Path, count: int = 1, *, file: str = "access.log", **changes: Any) -> None:
    """Append `count` lines to Nginx's log."""
    line = {
        "time": NOON, "method": "POST", "path": "/api/predict_home_price", "status": 200, "assigned": "production",
        "served": "production", "fallback": "", "epoch": None, "seconds": 0.01, "upstream_seconds": "0.01",
        "upstream_status": "200",
        **changes,
    }  # fmt: skip
    with (folder / file).open("a") as log:
        log.write((json.dumps(line) + "\n") * count)


def stored(bucket: MemoryBucket) -> dict[str, tuple[int, int]]:
    """Return the counts in the bucket by variant, summed over routers and slots."""
    totals: dict[str, tuple[int, int]] = {}
    for entry in bucket.list(traffic_counts.PREFIX):
        for variants in DailyTrafficCounts.model_validate_json(bucket.get(entry.key).body).slots.values():
            for variant, (requests, failed) in variants.items():
                before = totals.get(variant, (0, 0))
                totals[variant] = before[0] + requests, before[1] + failed
    return totals


@pytest.fixture
def bucket() -> MemoryBucket:
    """A bucket in memory."""
    return MemoryBucket()


@pytest.fixture
def open_counter(tmp_path: Path) -> Iterator[Callable[[MemoryBucket], TrafficCounter]]:
    """Return a function that opens the counter of this folder after it has read the log once."""
    made: list[TrafficCounter] = []

    def make(bucket: MemoryBucket) -> TrafficCounter:
        made.append(TrafficCounter(tmp_path, bucket))
        made[-1].count_new_lines()
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def begun(open_counter: Callable[[MemoryBucket], TrafficCounter], bucket: MemoryBucket) -> TrafficCounter:
    """A counter that was started before there was a log."""
    return open_counter(bucket)


def test_requests_and_failures_are_counted_by_serving_variant(
    tmp_path: Path, bucket: MemoryBucket, begun: TrafficCounter
) -> None:
    write(tmp_path, 5)
    write(tmp_path, 2, status=502)
    write(tmp_path, 1, status=503, assigned="candidate", fallback="1")
    write(tmp_path, 3, assigned="candidate", served="candidate")
    write(tmp_path, 4, status=400)
    write(tmp_path, 4, status=429)
    write(tmp_path, 4, status=500, path="/api/feedback")
    write(tmp_path, 4, status=501, upstream_status="")  # Nginx's own, without asking a service
    write(tmp_path, 4, method="OPTIONS")
    with (tmp_path / "access.log").open("a") as log:
        log.write("cut o\n")
    begun.count_new_lines()
    begun.upload()
    assert stored(bucket) == {"production": (8, 3), "candidate": (3, 0)}


def test_after_a_kill_the_next_continues_at_the_same_line(
    tmp_path: Path, bucket: MemoryBucket, begun: TrafficCounter, open_counter: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    write(tmp_path, 3)
    begun.count_new_lines()
    write(tmp_path, 2, status=500)  # not counted while the agent is dead
    for _ in range(2):
        open_counter(bucket).upload()
    assert stored(bucket) == {"production": (5, 2)}
    assert len(list(bucket.list(traffic_counts.PREFIX))) == 1, "it is the same router"


def test_a_log_that_was_rotated_meanwhile_is_counted_to_its_end(
    tmp_path: Path, bucket: MemoryBucket, begun: TrafficCounter, open_counter: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    write(tmp_path, 3)
    begun.count_new_lines()
    write(tmp_path, 2)
    assert LogFollower(tmp_path / "access.log").rotate(lambda: None, limit_bytes=1)
    write(tmp_path, 4)
    later = open_counter(bucket)
    for _ in range(3):
        later.count_new_lines()
    later.upload()
    assert stored(bucket) == {"production": (9, 0)}


def test_lines_before_the_first_start_are_skipped(
    tmp_path: Path, bucket: MemoryBucket, open_counter: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    write(tmp_path, 9)
    first = open_counter(bucket)
    write(tmp_path, 1)
    first.count_new_lines()
    first.upload()
    assert stored(bucket) == {"production": (1, 0)}


def test_an_unavailable_bucket_gets_everything_later(
    tmp_path: Path, open_counter: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    bucket = AwayBucket()
    made = open_counter(bucket)
    for day in range(4):
        write(tmp_path, 2, time=NOON + day * DAY)
        made.count_new_lines()
        with pytest.raises(StorageUnavailable):
            made.upload()
    bucket.away = False
    made.upload()
    assert stored(bucket) == {"production": (8, 0)}
    assert len(json.loads((tmp_path / FILE).read_text())["days"]) == 4
    write(tmp_path, 1, time=NOON)  # of a day that was uploaded and dropped: its object is not overwritten
    made.count_new_lines()
    made.upload()
    assert stored(bucket) == {"production": (8, 0)}


def test_an_unreadable_file_starts_a_new_router_id(
    tmp_path: Path, bucket: MemoryBucket, open_counter: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    (tmp_path / FILE).write_text("{")
    made = open_counter(bucket)
    write(tmp_path)
    made.count_new_lines()
    assert len(json.loads((tmp_path / FILE).read_text())["router"]) == 16


def test_the_file_of_an_earlier_release_is_continued_and_keeps_its_members(
    tmp_path: Path, bucket: MemoryBucket, open_counter: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    earlier = json.loads((PINNED / "fc80cdd/router/traffic.json").read_text())
    (tmp_path / FILE).write_text(json.dumps({**earlier, "due": list(earlier["days"])}))
    later = open_counter(bucket)
    later.count_new_lines()
    later.upload()
    assert [entry.key.rpartition("/")[2] for entry in bucket.list(traffic_counts.PREFIX)] == [
        f"{earlier['router']}.json"
    ]
    write(tmp_path)
    later.count_new_lines()
    assert json.loads((tmp_path / FILE).read_text()).keys() == earlier.keys()


def test_the_thread_counts_and_uploads_and_logs_a_failure_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNT_SECONDS", 0.01)
    monkeypatch.setattr(module, "UPLOAD_SECONDS", 0.02)
    bucket = AwayBucket()
    made = TrafficCounter(tmp_path, bucket)
    with capture_logs() as logs:
        made.start()
        eventually((tmp_path / FILE).exists, lambda: write(tmp_path))
        eventually(lambda: logs)
        bucket.away = False
        eventually(lambda: stored(bucket))
        write(tmp_path, 100)
        made.close()
    total = (tmp_path / "access.log").read_text().count("\n")
    assert stored(bucket)["production"] == (total, 0)
    assert [line["event"] for line in logs] == ["traffic_count_failed"]


def eventually(holds: Callable[[], object], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Wait until it holds."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        meanwhile()
        time.sleep(0.01)
