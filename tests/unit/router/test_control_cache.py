"""The control record near at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import StorageUnavailable
from homeprices.release import control_record
from homeprices.release.control_record import ControlRecord
from router.control_cache import BucketControl, CachedRecord, ControlRecordCache, Stop

RUNNING = ControlRecord(
    state="running", experiment="BO1-CO1", production="BO1", candidate="CO1", salt="ab", share=20, epoch=3
)


class Away:
    """A bucket that can be away."""

    def __init__(self, bucket: MemoryBucket) -> None:
        self._near = BucketControl(bucket)
        self.away = False

    def read(self) -> ControlRecord:
        self._check()
        return self._near.read()

    def stop(self, epoch: int, reason: str) -> ControlRecord:
        self._check()
        return self._near.stop(epoch, reason)

    def _check(self) -> None:
        if self.away:
            raise StorageUnavailable("the bucket is away")


@pytest.fixture
def bucket() -> MemoryBucket:
    held = MemoryBucket()
    held.put(control_record.KEY, RUNNING.model_dump_json().encode())
    return held


@pytest.fixture
def source(bucket: MemoryBucket) -> Away:
    return Away(bucket)


@pytest.fixture
def keeper(source: Away, tmp_path: Path) -> ControlRecordCache:
    return ControlRecordCache(source, tmp_path / "control.json", 3600)


def test_before_the_first_reading_nothing_runs(keeper: ControlRecordCache) -> None:
    assert keeper.cached.effective == ControlRecord()


def test_the_record_is_kept_for_the_next_agent(keeper: ControlRecordCache, source: Away, tmp_path: Path) -> None:
    keeper.poll()
    source.away = True
    again = ControlRecordCache(source, tmp_path / "control.json", 3600)
    again.poll()
    assert again.cached.record == RUNNING
    assert (again.failures, again.failure) == (1, "the bucket is away")


def test_a_failure_is_forgotten_once_the_bucket_answers(keeper: ControlRecordCache, source: Away) -> None:
    source.away = True
    keeper.poll()
    keeper.poll()
    assert (keeper.failures, keeper.failure) == (2, "the bucket is away")
    source.away = False
    keeper.poll()
    assert (keeper.failures, keeper.failure) == (2, None)


def test_a_damaged_file_is_as_none(tmp_path: Path, source: Away) -> None:
    (tmp_path / "control.json").write_text("{half")
    assert ControlRecordCache(source, tmp_path / "control.json", 3600).cached == CachedRecord()


def test_a_stop_holds_at_once_and_is_told_when_the_bucket_answers(
    keeper: ControlRecordCache, source: Away, bucket: MemoryBucket, tmp_path: Path
) -> None:
    keeper.poll()
    source.away = True
    keeper.request_stop(3, "it fails")
    keeper.poll()
    effective = keeper.cached.effective
    assert (effective.state, effective.share, effective.reason) == ("stopped", 0.0, "it fails")
    assert keeper.cached.breaker_open
    again = ControlRecordCache(source, tmp_path / "control.json", 3600)
    assert again.cached.effective.state == "stopped"
    source.away = False
    again.poll()
    told = control_record.read(bucket)
    assert (told.state, told.epoch, told.updated_by, told.reason) == ("stopped", 4, "router", "it fails")
    assert again.cached.effective == told
    assert again.cached.breaker_open


def test_an_evaluation_is_asked_for_once_the_bucket_knows_of_the_stop(source: Away, tmp_path: Path) -> None:
    asked: list[str] = []
    keeper = ControlRecordCache(source, tmp_path / "control.json", 3600, on_stopped=lambda: asked.append("now"))
    keeper.poll()
    source.away = True
    keeper.request_stop(3, "it fails")
    keeper.poll()
    assert asked == []
    source.away = False
    keeper.poll()
    keeper.poll()
    assert asked == ["now"]


def test_a_stop_of_an_epoch_that_is_over_stops_nobody(keeper: ControlRecordCache, bucket: MemoryBucket) -> None:
    keeper.poll()
    newer = control_record.set_share(bucket, 30, "a person")
    keeper.request_stop(3, "it failed under the old share")
    keeper.poll()
    assert control_record.read(bucket) == newer
    assert keeper.cached.effective == newer
    assert not keeper.cached.breaker_open


def test_without_a_stop_the_breaker_is_closed() -> None:
    assert not CachedRecord(record=RUNNING).breaker_open
    by_a_person = RUNNING.model_copy(update={"state": "stopped", "share": 0.0, "epoch": 9})
    assert not CachedRecord(record=by_a_person, stop=Stop(epoch=3, reason="long ago")).breaker_open


def test_a_disk_that_takes_nothing_does_not_keep_the_router_from_obeying(source: Away, tmp_path: Path) -> None:
    keeper = ControlRecordCache(source, tmp_path / "no" / "such" / "folder" / "control.json", 3600)
    keeper.poll()
    assert keeper.cached.record == RUNNING


def test_it_polls_in_a_thread_of_its_own_until_it_is_closed(source: Away, tmp_path: Path) -> None:
    keeper = ControlRecordCache(source, tmp_path / "control.json", 0.01)
    keeper.start(10)
    assert keeper.cached.record == RUNNING
    keeper.close()
