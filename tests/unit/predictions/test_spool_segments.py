import os
import time
from pathlib import Path

import pytest

from homeprices.predictions import spool_segments
from homeprices.predictions.spool_segments import SUFFIX, Record, decode, encode


def test_a_record_is_read_back_as_it_was_written() -> None:
    assert decode(encode("p", b'{"id": 1}')) == Record("p", b'{"id": 1}')
    assert decode(encode("f", '{"text": "₹"}'.encode())) == Record("f", '{"text": "₹"}'.encode())


@pytest.mark.parametrize("cut", range(len(encode("p", b'{"id": 12345}'))))
def test_a_line_that_was_cut_off_anywhere_is_no_record(cut: int) -> None:
    assert decode(encode("p", b'{"id": 12345}')[:cut]) is None


def test_a_line_with_one_changed_byte_is_no_record() -> None:
    line = bytearray(encode("p", b'{"id": 12345}'))
    for place in range(len(line) - 1):
        changed = bytearray(line)
        changed[place] ^= 1
        assert decode(bytes(changed)) is None, place


def test_a_segment_of_a_living_process_is_not_adopted_and_a_closed_one_is(tmp_path: Path) -> None:
    living, gone = spool_segments.create(tmp_path, durable=False), spool_segments.create(tmp_path, durable=True)
    line = encode("p", b"{}")
    gone.append(line + line, 2)
    gone.close()
    [adopted] = spool_segments.orphans(tmp_path, set())
    assert (adopted.path, adopted.records, adopted.size) == (gone.path, 2, 2 * len(line))
    assert list(adopted.lines()) == [line, line]
    assert spool_segments.orphans(tmp_path, set()) == []
    living.remove()
    adopted.remove()
    assert list(tmp_path.iterdir()) == []


def test_segments_of_this_very_process_are_left_alone(tmp_path: Path) -> None:
    mine = spool_segments.create(tmp_path, durable=False)
    assert spool_segments.orphans(tmp_path, {mine.path}) == []
    mine.remove()


def test_a_file_that_never_got_its_name_is_cleared_away_after_a_while(tmp_path: Path) -> None:
    old, young = tmp_path / "1-1.new", tmp_path / "2-1.new"
    for path in (old, young):
        path.touch()
    os.utime(old, (time.time() - 3600,) * 2)
    assert spool_segments.orphans(tmp_path, set()) == []
    assert [path.name for path in tmp_path.iterdir()] == [young.name]


def test_a_segment_with_a_foreign_name_is_adopted_by_the_age_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / f"restored{SUFFIX}"
    path.write_bytes(encode("p", b"{}"))
    os.utime(path, (1000.0, 1000.0))
    [adopted] = spool_segments.orphans(tmp_path, set())
    assert adopted.created == 1000.0
    adopted.remove()


def test_the_total_counts_every_segment_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / f"1-1{SUFFIX}").write_bytes(b"12345")
    (tmp_path / f"2-1{SUFFIX}").write_bytes(b"123")
    (tmp_path / "refused.jsonl").write_bytes(b"1234567")
    assert spool_segments.total_bytes(tmp_path) == 8


def test_a_segment_that_cannot_be_made_says_so_and_leaves_nothing_open(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(OSError):
        spool_segments.create(blocked, durable=False)
