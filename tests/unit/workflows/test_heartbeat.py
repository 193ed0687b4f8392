from datetime import UTC, datetime

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.workflows.heartbeat import PROCESSES, key, last_heartbeat, record_heartbeat

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("process", PROCESSES)
def test_a_note_is_read_back(process) -> None:  # type: ignore[no-untyped-def]
    bucket = MemoryBucket()
    written = record_heartbeat(bucket, process, "continue", "run 7", now=lambda: NOON)
    assert last_heartbeat(bucket, process) == written
    assert (written.at, written.outcome, written.run) == (NOON, "continue", "run 7")


def test_the_clock_is_the_default_and_the_last_writer_wins() -> None:
    bucket = MemoryBucket()
    record_heartbeat(bucket, "training", now=lambda: NOON)
    newer = record_heartbeat(bucket, "training")
    assert last_heartbeat(bucket, "training") == newer
    assert newer.at > NOON


def test_nothing_and_rubbish_are_no_note() -> None:
    bucket = MemoryBucket()
    assert last_heartbeat(bucket, "drift") is None
    bucket.put(key("drift"), b"{")
    assert last_heartbeat(bucket, "drift") is None
