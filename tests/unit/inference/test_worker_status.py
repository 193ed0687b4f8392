import os
import signal
import time
from pathlib import Path

from inference.backend.runtime.worker_status import WorkerStatusFiles, same_version


def test_a_worker_says_what_it_serves(tmp_path: Path) -> None:
    cards = WorkerStatusFiles(tmp_path)
    cards.open()
    assert cards.read() == [{"pid": os.getpid(), "model_version": None}]
    cards.write("BO2")
    assert cards.read() == [{"pid": os.getpid(), "model_version": "BO2"}]
    cards.close()
    assert (cards.read(), list(tmp_path.iterdir())) == ([], [])


def test_the_card_of_a_killed_worker_does_not_count_and_goes(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        other = WorkerStatusFiles(tmp_path)
        other.open()
        other.write("BO1")
        os.write(writer, b".")
        time.sleep(60)
        os._exit(0)
    os.read(reader, 1)
    cards = WorkerStatusFiles(tmp_path)
    cards.open()
    cards.write("BO2")
    assert [card["model_version"] for card in cards.read()] == (["BO1", "BO2"] if pid < os.getpid() else ["BO2", "BO1"])
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert [card["model_version"] for card in cards.read()] == ["BO2"]
    cards.close()
    assert list(tmp_path.iterdir()) == []


def test_a_worker_whose_card_cannot_be_read_serves_nothing(tmp_path: Path) -> None:
    cards = WorkerStatusFiles(tmp_path)
    cards.open()
    (tmp_path / f"{os.getpid()}.json").write_text("{")
    assert cards.read() == [{"pid": os.getpid(), "model_version": None}]
    cards.close()


def test_a_disk_that_takes_no_file_does_not_keep_a_worker_from_serving(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cards = WorkerStatusFiles(tmp_path / "file" / "workers")
    cards.open()
    cards.write("BO1")
    assert cards.read() == []


def test_workers_agree_only_when_all_serve_the_same() -> None:
    one, two, none = ({"model_version": version} for version in ("BO1", "BO2", None))
    assert same_version([one, one]) == "BO1"
    assert same_version([one, two]) is None
    assert same_version([one, none]) is None
    assert same_version([]) is None
