"""The router's ledger: every line counted once, whatever is killed, rotated or away meanwhile."""

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
from tests.stored import PINNED

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0


class AwayBucket(MemoryBucket):
    """Takes nothing while it is away."""

    away = True

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        if self.away:
            raise StorageUnavailable("the bucket is away")
        return super().put(key, body, if_absent=if_absent, if_match=if_match)


def write(folder: Path, count: int = 1, *, file: str = "access.log", **changes: Any) -> None:
    """So many lines of Nginx's log."""
    line = {
        "time": NOON, "path": "/api/predict_home_price", "status": 200, "assigned": "production",
        "served": "production", "fallback": "", "epoch": None, "seconds": 0.01, "upstream_seconds": "0.01",
        **changes,
    }  # fmt: skip
    with (folder / file).open("a") as log:
        log.write((json.dumps(line) + "\n") * count)


def held(bucket: MemoryBucket) -> dict[str, tuple[int, int]]:
    """The counts in the bucket, of all routers and slots together, by arm."""
    found: dict[str, tuple[int, int]] = {}
    for entry in bucket.list(traffic_counts.PREFIX):
        for arms in DailyTrafficCounts.model_validate_json(bucket.get(entry.key).body).slots.values():
            for arm, (requests, failed) in arms.items():
                before = found.get(arm, (0, 0))
                found[arm] = before[0] + requests, before[1] + failed
    return found


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Callable[[MemoryBucket], TrafficCounter]]:
    """What makes a ledger of the router in this folder, after one look at its log."""
    made: list[TrafficCounter] = []

    def make(bucket: MemoryBucket) -> TrafficCounter:
        made.append(TrafficCounter(tmp_path, bucket))
        made[-1].count_new_lines()
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def begun(ledger: Callable[[MemoryBucket], TrafficCounter], bucket: MemoryBucket) -> TrafficCounter:
    """A ledger that has seen that there is no log yet."""
    return ledger(bucket)


def test_answers_and_failures_are_counted_by_the_arm_that_answered(
    tmp_path: Path, bucket: MemoryBucket, begun: TrafficCounter
) -> None:
    write(tmp_path, 5)
    write(tmp_path, 2, status=502)
    write(tmp_path, 1, status=503, assigned="candidate", fallback="1")
    write(tmp_path, 3, assigned="candidate", served="candidate")
    write(tmp_path, 4, status=400)
    write(tmp_path, 4, status=429)
    write(tmp_path, 4, status=500, path="/api/feedback")
    with (tmp_path / "access.log").open("a") as log:
        log.write("cut o\n")
    begun.count_new_lines()
    begun.upload()
    assert held(bucket) == {"production": (8, 3), "candidate": (3, 0)}


def test_after_a_kill_the_next_goes_on_at_that_very_line(
    tmp_path: Path, bucket: MemoryBucket, begun: TrafficCounter, ledger: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    write(tmp_path, 3)
    begun.count_new_lines()
    write(tmp_path, 2, status=500)  # nobody counts while the agent is dead
    for _ in range(2):
        ledger(bucket).upload()
    assert held(bucket) == {"production": (5, 2)}
    assert len(list(bucket.list(traffic_counts.PREFIX))) == 1, "it is the same router"


def test_a_log_that_was_set_aside_meanwhile_is_counted_to_its_end(
    tmp_path: Path, bucket: MemoryBucket, begun: TrafficCounter, ledger: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    write(tmp_path, 3)
    begun.count_new_lines()
    write(tmp_path, 2)
    assert LogFollower(tmp_path / "access.log").rotate(lambda: None, limit_bytes=1)
    write(tmp_path, 4)
    later = ledger(bucket)
    for _ in range(3):
        later.count_new_lines()
    later.upload()
    assert held(bucket) == {"production": (9, 0)}


def test_lines_from_before_the_first_ledger_are_not_its_own(
    tmp_path: Path, bucket: MemoryBucket, ledger: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    write(tmp_path, 9)
    first = ledger(bucket)
    write(tmp_path, 1)
    first.count_new_lines()
    first.upload()
    assert held(bucket) == {"production": (1, 0)}


def test_a_bucket_that_is_away_gets_everything_later(
    tmp_path: Path, ledger: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    bucket = AwayBucket()
    made = ledger(bucket)
    for day in range(4):
        write(tmp_path, 2, time=NOON + day * DAY)
        made.count_new_lines()
        with pytest.raises(StorageUnavailable):
            made.upload()
    bucket.away = False
    made.upload()
    assert held(bucket) == {"production": (8, 0)}
    assert len(json.loads((tmp_path / FILE).read_text())["days"]) == 4
    write(tmp_path, 1, time=NOON)  # of a day that is long handed in: its object is not begun anew
    made.count_new_lines()
    made.upload()
    assert held(bucket) == {"production": (8, 0)}


def test_a_file_that_cannot_be_read_begins_another_router(
    tmp_path: Path, bucket: MemoryBucket, ledger: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    (tmp_path / FILE).write_text("{")
    made = ledger(bucket)
    write(tmp_path)
    made.count_new_lines()
    assert len(json.loads((tmp_path / FILE).read_text())["router"]) == 16


def test_the_file_of_an_earlier_release_is_continued_and_keeps_its_members(
    tmp_path: Path, bucket: MemoryBucket, ledger: Callable[[MemoryBucket], TrafficCounter]
) -> None:
    stored = json.loads((PINNED / "fc80cdd/router/traffic.json").read_text())
    (tmp_path / FILE).write_text(json.dumps({**stored, "due": list(stored["days"])}))
    later = ledger(bucket)
    later.count_new_lines()
    later.upload()
    assert [entry.key.rpartition("/")[2] for entry in bucket.list(traffic_counts.PREFIX)] == [
        f"{stored['router']}.json"
    ]
    write(tmp_path)
    later.count_new_lines()
    assert json.loads((tmp_path / FILE).read_text()).keys() == stored.keys()


def test_the_thread_counts_hands_in_and_says_once_what_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNT_SECONDS", 0.01)
    monkeypatch.setattr(module, "UPLOAD_SECONDS", 0.02)
    bucket = AwayBucket()
    made = TrafficCounter(tmp_path, bucket)
    with capture_logs() as logs:
        made.start()
        eventually((tmp_path / FILE).exists, lambda: write(tmp_path))
        eventually(lambda: logs)
        bucket.away = False
        eventually(lambda: held(bucket))
        write(tmp_path, 100)
        made.close()
    total = (tmp_path / "access.log").read_text().count("\n")
    assert held(bucket)["production"] == (total, 0)
    assert [line["event"] for line in logs] == ["traffic_count_failed"]


def eventually(holds: Callable[[], object], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Wait until it holds."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        meanwhile()
        time.sleep(0.01)
