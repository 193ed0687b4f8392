import os
import threading
import time
from pathlib import Path

import pytest

from homeprices.errors import SpoolFull
from homeprices.predictions.spool import SEGMENT_BYTES, Spool
from homeprices.predictions.spool_segments import encode
from tests.support.factories import PLENTY, bodies


@pytest.mark.parametrize("fsync", [False, True])
def test_what_was_appended_is_there_to_be_drained_in_order(tmp_path: Path, fsync: bool) -> None:
    spool = Spool(tmp_path, limit_bytes=PLENTY, fsync=fsync)
    for number in range(100):
        spool.append("p", b"%d" % number)
    assert spool.records == 100
    assert bodies(spool) == [b"%d" % number for number in range(100)]
    for segment in spool.full_segments():
        spool.delete(segment)
    assert (spool.records, spool.size_bytes, list(tmp_path.iterdir())) == (0, 0, [])
    spool.close()


@pytest.mark.parametrize("fsync", [False, True])
def test_many_records_go_with_one_write_all_or_none(tmp_path: Path, fsync: bool) -> None:
    writes: list[bytes] = []

    def write(descriptor: int, data: bytes) -> int:
        writes.append(data)
        return os.write(descriptor, data[: 10 if len(writes) == 2 else None])

    spool = Spool(tmp_path, limit_bytes=PLENTY, fsync=fsync, write=write)
    spool.append_many("p", [b"1", b"2"])
    with pytest.raises(SpoolFull):
        spool.append_many("p", [b"3", b"4"])
    spool.append_many("p", [b"5"])
    assert (len(writes), spool.records) == (3, 3)
    assert bodies(spool) == [b"1", b"2", b"5"]
    spool.close()


@pytest.mark.parametrize("fsync", [False, True])
def test_threads_lose_nothing_to_each_other(tmp_path: Path, fsync: bool) -> None:
    spool = Spool(tmp_path, limit_bytes=PLENTY, fsync=fsync)

    def work(worker: int) -> None:
        for number in range(100):
            spool.append("p", b"%d.%d" % (worker, number))
            if number % 25 == 0:
                spool.rotate()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bodies(spool)) == sorted(b"%d.%d" % (w, n) for w in range(8) for n in range(100))
    spool.close()


def test_an_idle_spool_leaves_no_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit_bytes=PLENTY)
    spool.rotate()
    assert (spool.full_segments(), spool.oldest_seconds(time.time()), list(tmp_path.iterdir())) == ([], 0.0, [])
    spool.close()


def test_the_oldest_record_gives_the_age(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit_bytes=PLENTY)
    spool.append("p", b"{}")
    assert 59 < spool.oldest_seconds(time.time() + 60) < 61
    spool.close()


def test_a_large_segment_is_followed_by_a_new_one(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit_bytes=PLENTY)
    for _ in range(3):
        spool.append("p", b"x" * (SEGMENT_BYTES // 2))
    assert len(spool.full_segments()) == 1
    assert len(bodies(spool)) == 3
    spool.close()


def test_at_its_limit_it_refuses_and_takes_again_once_it_is_drained(tmp_path: Path) -> None:
    line = len(encode("p", b"x" * 100))
    spool = Spool(tmp_path, limit_bytes=3 * line)
    for _ in range(3):
        spool.append("p", b"x" * 100)
    with pytest.raises(SpoolFull) as refused:
        spool.append("p", b"x" * 100)
    assert refused.value.retry_after > 0
    assert len(bodies(spool)) == 3
    for segment in spool.full_segments():
        spool.delete(segment)
    spool.append("p", b"x" * 100)
    spool.close()


def test_what_other_processes_hold_counts_towards_the_limit(tmp_path: Path) -> None:
    line = len(encode("p", b"x" * 100))
    one, other = (Spool(tmp_path, limit_bytes=2 * line) for _ in range(2))
    one.append("p", b"x" * 100)
    other.append("p", b"x" * 100)
    assert other.adopt() == 0
    assert other.size_bytes == 2 * line
    with pytest.raises(SpoolFull):
        other.append("p", b"x" * 100)
    one.close()
    other.close()


class Disk:
    """Writes to a real file until `room` is set; then it writes only so many bytes, as on a full disk."""

    def __init__(self) -> None:
        self.room: int | None = None

    def write(self, descriptor: int, data: bytes) -> int:
        if self.room is None:
            return os.write(descriptor, data)
        if self.room == 0:
            raise OSError(28, "No space left on device")
        return os.write(descriptor, data[: self.room])


@pytest.mark.parametrize("fsync", [False, True])
@pytest.mark.parametrize("room", [0, 1, 20])
def test_a_full_disk_refuses_records_and_harms_neither_earlier_nor_later_ones(
    tmp_path: Path, fsync: bool, room: int
) -> None:
    disk = Disk()
    spool = Spool(tmp_path, limit_bytes=PLENTY, fsync=fsync, write=disk.write)
    spool.append("p", b'"before"')
    disk.room = room
    for _ in range(3):
        with pytest.raises(SpoolFull):
            spool.append("p", b'"while the disk is full"')
    disk.room = None
    spool.append("p", b'"after"')
    assert bodies(spool) == [b'"before"', b'"after"']
    spool.close()


def test_a_folder_that_cannot_be_written_refuses_records_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool", limit_bytes=PLENTY)
    with pytest.raises(SpoolFull):
        spool.append("p", b"{}")
    spool.close()


def test_a_torn_tail_that_cannot_be_cut_off_ends_its_segment(tmp_path: Path) -> None:
    disk = Disk()
    spool = Spool(tmp_path, limit_bytes=PLENTY, write=disk.write)

    def write_then_lose_the_file(descriptor: int, data: bytes) -> int:
        written = os.write(descriptor, data[:5])
        read_only = os.open("/dev/null", os.O_RDONLY)  # cannot be truncated
        os.dup2(read_only, descriptor)
        os.close(read_only)
        return written

    spool.append("p", b'"before"')
    broken = Spool(tmp_path, limit_bytes=PLENTY, write=write_then_lose_the_file)
    with pytest.raises(SpoolFull):
        broken.append("p", b'"torn"')
    assert len(broken.full_segments()) == 1
    assert bodies(broken) == []
    broken.close()
    spool.close()


@pytest.mark.parametrize("fsync", [False, True])
def test_with_fsync_a_record_is_on_the_disk_before_it_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: bool
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    spool = Spool(tmp_path, limit_bytes=PLENTY, fsync=True) if fsync else Spool(tmp_path, limit_bytes=PLENTY)
    spool.append("p", b"1")
    assert synced == ([len(encode("p", b"1"))] if fsync else [])
    spool.close()


@pytest.mark.parametrize(
    ("error", "says"), [(OSError(5, "Input/output error"), "Input/output error"), (OSError("odd"), "odd")]
)
def test_a_record_that_the_disk_did_not_keep_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, says: str
) -> None:
    def fail(*_: object) -> int:
        raise error

    spool = Spool(tmp_path, limit_bytes=PLENTY, fsync=True)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(SpoolFull, match=f"the disk did not keep a record: {says}") as refused:
        spool.append("p", b"1")
    assert refused.value.retry_after == 30
    broken = Spool(tmp_path, limit_bytes=PLENTY, write=fail)
    with pytest.raises(SpoolFull, match=f"the disk takes no record: {says}") as refused:
        broken.append("p", b"1")
    assert refused.value.retry_after == 30
    spool.close()
    broken.close()


def test_a_segment_is_not_closed_while_its_records_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: int) -> None:
        begun.set()
        go_on.wait(60)

    monkeypatch.setattr(os, "fdatasync", slow)
    spool = Spool(tmp_path, limit_bytes=PLENTY, fsync=True)
    writer, drain = threading.Thread(target=spool.append, args=("p", b"1")), threading.Thread(target=spool.rotate)
    writer.start()
    begun.wait(60)
    drain.start()
    drain.join(0.3)
    assert drain.is_alive() and spool.full_segments() == []
    go_on.set()
    writer.join()
    drain.join()
    assert bodies(spool) == [b"1"]
    spool.close()


def test_a_segment_with_records_is_known_by_its_age(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit_bytes=PLENTY)
    later = time.time() + 60
    assert not spool.holds_from_before(later)
    spool.append("p", b"1")
    assert spool.holds_from_before(later) and not spool.holds_from_before(later - 3600)
    spool.close()
    assert Spool(tmp_path, limit_bytes=PLENTY).holds_from_before(later), "also of a process that ended"


def test_a_segment_without_a_record_is_removed_at_closing(tmp_path: Path) -> None:
    def torn(descriptor: int, data: bytes) -> int:
        return os.write(descriptor, data[:3])

    spool = Spool(tmp_path, limit_bytes=PLENTY, write=torn)
    with pytest.raises(SpoolFull):
        spool.append("p", b"a record")
    assert len(list(tmp_path.iterdir())) == 1
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_segment_of_exactly_the_largest_size_is_followed_by_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homeprices.predictions.spool.SEGMENT_BYTES", len(encode("p", b"1")))
    spool = Spool(tmp_path, limit_bytes=PLENTY)
    spool.append("p", b"1")
    spool.append("p", b"2")
    assert len(list(tmp_path.iterdir())) == 2
    spool.close()


def test_a_thousand_records_share_a_segment(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit_bytes=PLENTY)
    for _ in range(1000):
        spool.append("p", b"1")
    assert len(list(tmp_path.iterdir())) == 1
    spool.close()


def test_what_is_left_at_closing_is_found_by_the_next_process(tmp_path: Path) -> None:
    before = Spool(tmp_path, limit_bytes=PLENTY)
    before.append("f", b'"kept"')
    before.close()
    after = Spool(tmp_path, limit_bytes=PLENTY)
    assert after.adopt() == 1
    assert bodies(after) == [b'"kept"']
    after.close()
