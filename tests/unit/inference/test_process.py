import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeprices.log import configure_logging, get_logger
from homeprices.settings import load_settings
from inference.backend.runtime.process import FILES_KEPT, read_log_tail, write_log_tail


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[logging.Handler]:
    """A log handler that is removed after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(load_settings({}, ()), "infer-prod")
    made = write_log_tail(tmp_path)
    assert made is not None
    yield made
    made.close()
    root.handlers[:], root.level = handlers, level


def test_log_lines_are_read_back_newest_last(handler: logging.Handler, tmp_path: Path) -> None:
    get_logger("a").info("swapped", version="BO2")
    logging.getLogger("gunicorn.error").warning("worker %s", 7)
    last = read_log_tail(tmp_path, 10)[-2:]
    assert [(entry["event"], entry["level"]) for entry in last] == [("swapped", "info"), ("worker 7", "warning")]
    assert last[0]["version"] == "BO2"
    assert len(read_log_tail(tmp_path, 1)) == 1


def test_the_logs_of_all_workers_are_merged(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text("".join(json.dumps({"timestamp": t, "event": t}) + "\n" for t in ("a", "c")))
    (tmp_path / "2.jsonl.1").write_text('{"timestamp": "b", "event": "b"}\nnot json\n[1]\n{"cut')
    assert [entry["event"] for entry in read_log_tail(tmp_path, 10)] == ["a", "b", "c"]


def test_files_of_old_workers_are_removed(tmp_path: Path) -> None:
    for number in range(FILES_KEPT + 4):
        path = tmp_path / f"{number}.jsonl"
        path.touch()
        os.utime(path, (number, number))
    made = write_log_tail(tmp_path)
    assert made is not None
    logging.getLogger().removeHandler(made)
    made.close()
    assert len(list(tmp_path.iterdir())) == FILES_KEPT + 1
    assert not (tmp_path / "0.jsonl").exists()


def test_without_a_disk_there_is_no_log_file_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert write_log_tail(tmp_path / "file" / "logs") is None
    assert read_log_tail(tmp_path / "file" / "logs", 10) == []
