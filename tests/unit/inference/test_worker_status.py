import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.backend.runtime import worker_status
from inference.backend.runtime.worker_status import WorkerStatusFiles, same_version


def test_a_worker_reports_its_version(tmp_path: Path) -> None:
    workers = WorkerStatusFiles(tmp_path)
    workers.open()
    assert workers.read() == [{"pid": os.getpid(), "model_version": None, "regional_versions": []}]
    workers.write("BO2")
    assert workers.read() == [{"pid": os.getpid(), "model_version": "BO2", "regional_versions": []}]
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


def test_a_worker_whose_new_file_a_reader_took_for_that_of_a_killed_one_registers_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader comes after the worker has made its file and before it has locked it, and holds the next one too."""
    real, others = fcntl.flock, WorkerStatusFiles(tmp_path)
    between: list[Callable[[], object]] = [others.read, lambda: _held(tmp_path), lambda: None]

    def flock(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        between.pop(0)()
        if between:
            monkeypatch.setattr(fcntl, "flock", flock)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    workers = WorkerStatusFiles(tmp_path)
    workers.open()
    assert between == []
    workers.write("BO1")
    assert others.read() == [{"pid": os.getpid(), "model_version": "BO1", "regional_versions": []}]
    workers.close()


def _held(folder: Path) -> None:
    """Hold the lock of this worker's file for a moment, in another thread, as a reader does."""
    held = os.open(folder / f"{os.getpid()}.lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    threading.Timer(0.05, os.close, (held,)).start()


def test_a_reader_removes_no_file_that_a_new_worker_has_made_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lock = fcntl.flock, tmp_path / "4000000.lock"
    lock.touch()

    def flock(descriptor: int, operation: int) -> None:
        lock.unlink()
        lock.touch()
        real(descriptor, operation)

    with monkeypatch.context() as at_once:
        at_once.setattr(fcntl, "flock", flock)
        assert WorkerStatusFiles(tmp_path).read() == []
    assert lock.exists()
    assert WorkerStatusFiles(tmp_path).read() == []
    assert not lock.exists(), "it was of a killed worker after all"


def test_a_worker_serves_unregistered_if_its_file_stays_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_status, "LOCK_SECONDS", 0)
    with (tmp_path / f"{os.getpid()}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        WorkerStatusFiles(tmp_path).open()


def test_a_worker_with_an_unreadable_file_serves_nothing(tmp_path: Path) -> None:
    workers = WorkerStatusFiles(tmp_path)
    workers.open()
    (tmp_path / f"{os.getpid()}.json").write_text("{")
    assert workers.read() == [{"pid": os.getpid(), "model_version": None, "regional_versions": []}]
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
