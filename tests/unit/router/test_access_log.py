"""The router's access log: parsing and following."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router.access_log import AccessLogEntry, LogFollower, parse

LINE = {
    "time": 1767600000.123,
    "request_id": "x",
    "method": "POST",
    "path": "/api/predict_home_price",
    "status": 200,
    "assigned": "candidate",
    "served": "production",
    "fallback": "1",
    "experiment": "BO1-CO1",
    "epoch": 2,
    "model_version": "BO1",
    "seconds": 0.512,
    "upstream_seconds": "0.500, 0.001 : 0.011",
    "upstream_status": "504, 502 : 200",
    "bytes": 321,
    "config": "abc",
}


def test_a_line_is_parsed() -> None:
    answer = next(parse([json.dumps(LINE)]))
    assert answer is not None
    assert answer == AccessLogEntry(
        at=1767600000.123,
        method="POST",
        path="/api/predict_home_price",
        status=200,
        assigned="candidate",
        served="production",
        fallback=True,
        epoch=2,
        seconds=0.512,
        upstream_seconds=answer.upstream_seconds,
        upstream_status="504, 502 : 200",
    )
    assert answer.upstream_seconds == pytest.approx(0.512)
    assert answer.fell_back
    assert answer.is_prediction


def test_a_server_that_was_never_reached_took_no_time() -> None:
    answer = next(parse([json.dumps({**LINE, "upstream_seconds": "-", "epoch": None, "fallback": ""})]))
    assert answer is not None
    assert (answer.upstream_seconds, answer.epoch, answer.fallback) == (0.0, None, False)


@pytest.mark.parametrize("status", ["", "-"])
def test_an_answer_of_nginx_itself_is_no_prediction(status: str) -> None:
    answer = next(parse([json.dumps({**LINE, "status": 501, "upstream_status": status})]))
    assert answer is not None
    assert not answer.is_prediction


@pytest.mark.parametrize("line", ["", "not json", '{"time": 1', "[]", "null", json.dumps({**LINE, "time": "soon"})])
def test_a_damaged_line_is_reported_as_none(line: str) -> None:
    assert list(parse([line])) == [None]


def test_only_complete_lines_are_returned(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    tail = LogFollower(log)
    assert tail.read() == []
    log.write_text("one\ntw")
    assert tail.read() == ["one"]
    with log.open("a") as file:
        file.write("o\nthree\n")
    assert tail.read() == ["two", "three"]
    assert tail.read() == []
    tail.close()
    tail.close()


def test_the_first_read_of_a_long_log_returns_its_end_in_complete_lines(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    tail = LogFollower(log, replay_bytes=20)
    assert tail.read() == ["line 98", "line 99"]
    tail.close()


def test_a_rotated_log_is_read_to_its_end_before_the_next(tmp_path: Path) -> None:
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    log.write_text("1\n")
    tail = LogFollower(log, replay_bytes=4)
    assert tail.read() == ["1"]
    asked: list[str] = []
    assert not tail.rotate(lambda: asked.append("reopen"), limit_bytes=100)
    assert tail.rotate(lambda: asked.append("reopen"), limit_bytes=1)
    assert asked == ["reopen"]
    with old.open("a") as file:
        file.write("2\n")  # a worker that has not reopened its log yet
    assert tail.read() == ["2"]
    log.write_text("4 is in the new file\n")
    with old.open("a") as file:
        file.write("3\n")
    assert tail.read() == ["3"]
    assert tail.read() == []
    assert tail.read() == ["4 is in the new file"]
    tail.close()


def test_a_truncated_log_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("one\ntwo\n")
    tail = LogFollower(log)
    tail.read()
    log.write_text("new\n")
    assert tail.read() == ["new"]
    tail.close()


def test_there_is_nothing_to_rotate_before_the_first_line(tmp_path: Path) -> None:
    assert not LogFollower(tmp_path / "access.log").rotate(lambda: None)
