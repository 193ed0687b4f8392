"""The local cache of the control record."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import StorageUnavailable
from homeprices.release import control_record
from homeprices.release.experiment_record import ControlRecord
from router.control_cache import BucketControl, CachedRecord, ControlRecordCache, Stop

RUNNING = ControlRecord(
    state="running", experiment="BO1-CO1", production="BO1", candidate="CO1", salt="ab", share=20, epoch=3
)


class Away:
    """A bucket that can be unavailable."""

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
    """A bucket in memory."""
    held = MemoryBucket()
    held.put(control_record.KEY, RUNNING.model_dump_json().encode())
    return held


@pytest.fixture
def source(bucket: MemoryBucket) -> Away:
    """A bucket that a test can take away."""
    return Away(bucket)


@pytest.fixture
def control(source: Away, tmp_path: Path) -> ControlRecordCache:
    """A cache of the control record."""
    return ControlRecordCache(source, tmp_path / "control.json", 3600)


def test_before_the_first_poll_there_is_no_experiment(control: ControlRecordCache) -> None:
    assert control.cached.effective == ControlRecord()


def test_the_record_is_stored_for_the_next_agent(control: ControlRecordCache, source: Away, tmp_path: Path) -> None:
    control.poll()
    source.away = True
    again = ControlRecordCache(source, tmp_path / "control.json", 3600)
    again.poll()
    assert again.cached.record == RUNNING
    assert (again.failures, again.failure) == (1, "the bucket is away")


def test_a_failure_is_cleared_once_the_bucket_responds(control: ControlRecordCache, source: Away) -> None:
    source.away = True
    control.poll()
    control.poll()
    assert (control.failures, control.failure) == (2, "the bucket is away")
    source.away = False
    control.poll()
    assert (control.failures, control.failure) == (2, None)


def test_a_damaged_file_is_ignored(tmp_path: Path, source: Away) -> None:
    (tmp_path / "control.json").write_text("{half")
    assert ControlRecordCache(source, tmp_path / "control.json", 3600).cached == CachedRecord()


def test_a_stop_is_in_force_at_once_and_written_when_the_bucket_responds(
    control: ControlRecordCache, source: Away, bucket: MemoryBucket, tmp_path: Path
) -> None:
    control.poll()
    source.away = True
    control.request_stop(3, "it fails")
    control.poll()
    effective = control.cached.effective
    assert (effective.state, effective.share, effective.reason) == ("stopped", 0.0, "it fails")
    assert control.cached.breaker_open
    again = ControlRecordCache(source, tmp_path / "control.json", 3600)
    assert again.cached.effective.state == "stopped"
    source.away = False
    again.poll()
    stored = control_record.read(bucket)
    assert (stored.state, stored.epoch, stored.updated_by, stored.reason) == ("stopped", 4, "router", "it fails")
    assert again.cached.effective == stored
    assert again.cached.breaker_open


def test_an_evaluation_is_requested_once_the_stop_is_in_the_bucket(source: Away, tmp_path: Path) -> None:
    asked: list[str] = []
    control = ControlRecordCache(source, tmp_path / "control.json", 3600, on_stopped=lambda: asked.append("now"))
    control.poll()
    source.away = True
    control.request_stop(3, "it fails")
    control.poll()
    assert asked == []
    source.away = False
    control.poll()
    control.poll()
    assert asked == ["now"]


def test_a_stop_of_an_earlier_epoch_has_no_effect(control: ControlRecordCache, bucket: MemoryBucket) -> None:
    control.poll()
    newer = control_record.set_share(bucket, 30, "a person")
    control.request_stop(3, "it failed under the old share")
    control.poll()
    assert control_record.read(bucket) == newer
    assert control.cached.effective == newer
    assert not control.cached.breaker_open


def test_without_a_stop_the_breaker_is_closed() -> None:
    assert not CachedRecord(record=RUNNING).breaker_open
    by_a_person = RUNNING.model_copy(update={"state": "stopped", "share": 0.0, "epoch": 9})
    assert not CachedRecord(record=by_a_person, stop=Stop(epoch=3, reason="long ago")).breaker_open


def test_a_full_disk_does_not_keep_a_record_from_coming_into_force(source: Away, tmp_path: Path) -> None:
    control = ControlRecordCache(source, tmp_path / "no" / "such" / "folder" / "control.json", 3600)
    control.poll()
    assert control.cached.record == RUNNING


def test_a_thread_polls_until_it_is_closed(source: Away, tmp_path: Path) -> None:
    control = ControlRecordCache(source, tmp_path / "control.json", 0.01)
    control.start(10)
    assert control.cached.record == RUNNING
    control.close()
