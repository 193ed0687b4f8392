"""What routers counted, added up for the watch over a new production."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from homeprices.adapters.object_store import MemoryBucket
from homeprices.release.traffic_counts import SLOT_SECONDS, DailyTrafficCounts, bucket_start, day_of, production

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def bucket() -> MemoryBucket:
    """A bucket in memory."""
    return MemoryBucket()


def tell(bucket: MemoryBucket, router: str, **slots: tuple[int, int]) -> None:
    """Production's counts of a router, by minutes from midnight: `m5=(10, 1)` are the five minutes after 00:05."""
    begin = int(MIDNIGHT.timestamp())
    days: dict[date, DailyTrafficCounts] = {}
    for name, counts in slots.items():
        slot = begin + 60 * int(name.removeprefix("m").replace("_", "-"))
        day = days.setdefault(day_of(slot), DailyTrafficCounts(router=router, day=day_of(slot)))
        day.slots[slot] = {"production": counts, "candidate": (7, 7)}
    for told in days.values():
        bucket.put(told.key, told.model_dump_json().encode())


def minutes(count: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=count)


def test_routers_are_added_up_by_slot_over_midnight(bucket: MemoryBucket) -> None:
    tell(bucket, "a", m_5=(10, 1), m0=(20, 0), m5=(30, 3))
    tell(bucket, "b", m0=(5, 5))
    assert production(bucket, minutes(-5), minutes(10)) == [(10, 1), (25, 5), (30, 3)]


def test_only_slots_that_lie_wholly_between_count(bucket: MemoryBucket) -> None:
    tell(bucket, "a", m0=(10, 0), m5=(20, 0), m10=(30, 0))
    assert production(bucket, minutes(0.1), minutes(14.9)) == [(20, 0)]
    assert production(bucket, minutes(0), minutes(15)) == [(10, 0), (20, 0), (30, 0)]


def test_a_slot_without_a_request_and_a_day_without_a_router_tell_nothing(bucket: MemoryBucket) -> None:
    tell(bucket, "a", m0=(0, 0))
    assert production(bucket, minutes(-3000), minutes(3000)) == []


def test_an_object_that_cannot_be_read_is_said_and_counts_nothing(bucket: MemoryBucket) -> None:
    tell(bucket, "a", m0=(10, 1))
    bucket.put("traffic/2026-03-02/b.json", b"{")
    with capture_logs() as logs:
        assert production(bucket, minutes(0), minutes(5)) == [(10, 1)]
    assert [line["key"] for line in logs] == ["traffic/2026-03-02/b.json"]


def test_a_slot_begins_every_five_minutes() -> None:
    begin = int(MIDNIGHT.timestamp())
    assert [bucket_start(begin + s) - begin for s in (0, 299.9, 300, 301)] == [0, 0, SLOT_SECONDS, SLOT_SECONDS]
