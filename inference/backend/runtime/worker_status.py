"""Status files of the workers of one instance: a probe reaches one worker, and that worker reports all of them.

A worker writes `{pid}.json` and holds a lock on `{pid}.lock` as long as it lives. A status file whose lock is free
belongs to a killed worker; the next reader removes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from homeprices.log import get_logger

LOCK_ATTEMPTS, LOCK_SECONDS = 100, 0.01

log = get_logger(__name__)


class WorkerStatusFiles:
    """This worker's status file, and those of the instance's other workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid = os.getpid()
        self._file = folder / f"{self._pid}.json"
        self._lock = -1

    def open(self) -> None:
        """Register this worker, without a model yet. If the disk takes no file, the worker serves unregistered."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file.unlink(missing_ok=True)  # left by an earlier process with the same pid
            self._lock = _locked(self._file.with_suffix(".lock"))
        except OSError as error:
            log.warning("worker_status_write_failed", reason=str(error))
        self.write(None)

    def write(self, model_version: str | None, regional: Sequence[str] = ()) -> None:
        """Record the version that this worker serves from now on, and the regional ones beside it."""
        status = json.dumps({"pid": self._pid, "model_version": model_version, "regional_versions": list(regional)})
        temporary = self._file.with_suffix(".new")
        try:
            temporary.write_text(status)
            temporary.replace(self._file)
        except OSError as error:
            log.warning("worker_status_write_failed", reason=str(error))

    def read(self) -> list[dict[str, Any]]:
        """Return the status of all living workers of this instance, by pid."""
        statuses = (_read_living(lock) for lock in self._folder.glob("*.lock"))
        return sorted((status for status in statuses if status), key=lambda status: int(status["pid"]))

    def close(self) -> None:
        """Unregister this worker."""
        self._file.unlink(missing_ok=True)
        self._file.with_suffix(".lock").unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def same_version(workers: list[dict[str, Any]]) -> str | None:
    """Return the version that every one of these workers serves; None when they differ, or one serves nothing."""
    versions = {worker["model_version"] for worker in workers}
    return versions.pop() if len(versions) == 1 else None


def same_regional_versions(workers: list[dict[str, Any]]) -> list[str] | None:
    """Return the regional versions that every one of these workers serves; None when they differ."""
    served = {tuple(worker.get("regional_versions", ())) for worker in workers}
    return list(served.pop()) if len(served) == 1 else None


def _locked(path: Path) -> int:
    """Return a descriptor of the lock file at this path, locked.

    Creates the file again if a reader has removed it: a file that is not locked yet looks like that of a killed worker.
    Raises BlockingIOError if another process keeps the lock.
    """
    for _ in range(LOCK_ATTEMPTS):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        with suppress(BlockingIOError):  # a reader holds the lock for an instant
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        os.close(descriptor)
        time.sleep(LOCK_SECONDS)
    raise BlockingIOError(f"{path} stays locked by another process")


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether the path still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _read_living(lock: Path) -> dict[str, Any] | None:
    file = lock.with_suffix(".json")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(descriptor, lock):  # otherwise a reader has removed it, and the path may lead to a new worker's file
            file.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
    except BlockingIOError:
        return _read(file, int(lock.stem))
    finally:
        os.close(descriptor)
    return None


def _read(file: Path, pid: int) -> dict[str, Any]:
    """Return a worker's status. A worker that has written no file yet serves nothing."""
    try:
        status: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {"pid": pid, "model_version": None, "regional_versions": []}
    return status
