import os
import signal
import time
from pathlib import Path

from inference.backend.runtime.worker_status import WorkerStatusFiles, same_version


def test_a_worker_reports_its_version(tmp_path: Path) -> None:
    workers = WorkerStatusFiles(tmp_path)
    workers.open()
    assert workers.read() == [{"pid": os.getpid(), "model_version": None}]
    workers.write("BO2")
    assert workers.read() == [{"pid": os.getpid(), "model_version": "BO2"}]
    workers.close()
    assert (workers.read(), list(tmp_path.iterdir())) == ([], [])


def test_the_file_of_a_killed_worker_is_ignored_and_removed(tmp_path: Path) -> None:
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
    workers = WorkerStatusFiles(tmp_path)
    workers.open()
    workers.write("BO2")
    assert [file["model_version"] for file in workers.read()] == (
        ["BO1", "BO2"] if pid < os.getpid() else ["BO2", "BO1"]
    )
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert [file["model_version"] for file in workers.read()] == ["BO2"]
    workers.close()
    assert list(tmp_path.iterdir()) == []


def test_a_worker_with_an_unreadable_file_serves_nothing(tmp_path: Path) -> None:
    workers = WorkerStatusFiles(tmp_path)
    workers.open()
    (tmp_path / f"{os.getpid()}.json").write_text("{")
    assert workers.read() == [{"pid": os.getpid(), "model_version": None}]
    workers.close()


def test_a_full_disk_does_not_stop_a_worker(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    workers = WorkerStatusFiles(tmp_path / "file" / "workers")
    workers.open()
    workers.write("BO1")
    assert workers.read() == []


def test_workers_agree_only_when_all_serve_the_same() -> None:
    one, two, none = ({"model_version": version} for version in ("BO1", "BO2", None))
    assert same_version([one, one]) == "BO1"
    assert same_version([one, two]) is None
    assert same_version([one, none]) is None
    assert same_version([]) is None
