"""What each worker process of this instance serves. A probe meets one worker; this lets it answer for all of them.

A worker writes `{pid}.json` and holds a lock on `{pid}.lock` for as long as it lives; a card whose lock is free belongs
to a worker that was killed, and is removed by who finds it.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from homeprices.log import get_logger

log = get_logger(__name__)


class WorkerStatusFiles:
    """This worker's card, and those of its siblings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid = os.getpid()
        self._card = folder / f"{self._pid}.json"
        self._lock = -1

    def open(self) -> None:
        """Take a place among the workers, serving nothing yet. A disk that takes no file leaves it without one."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._card.unlink(missing_ok=True)  # of an earlier process with the same number
            self._lock = os.open(self._card.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            log.warning("no_worker_card", reason=str(error))
        self.write(None)

    def write(self, model_version: str | None) -> None:
        """Say which version this worker serves from now on."""
        card = json.dumps({"pid": self._pid, "model_version": model_version})
        temporary = self._card.with_suffix(".new")
        try:
            temporary.write_text(card)
            temporary.replace(self._card)
        except OSError as error:
            log.warning("no_worker_card", reason=str(error))

    def read(self) -> list[dict[str, Any]]:
        """The cards of all living workers of this instance, by pid."""
        cards = (_living(lock) for lock in self._folder.glob("*.lock"))
        return sorted((card for card in cards if card), key=lambda card: int(card["pid"]))

    def close(self) -> None:
        """Leave."""
        self._card.unlink(missing_ok=True)
        self._card.with_suffix(".lock").unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _living(lock: Path) -> dict[str, Any] | None:
    card = lock.with_suffix(".json")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        card.unlink(missing_ok=True)
        lock.unlink(missing_ok=True)
    except BlockingIOError:
        return _read(card, int(lock.stem))
    finally:
        os.close(descriptor)
    return None


def _read(card: Path, pid: int) -> dict[str, Any]:
    """A card; that of a worker which has not written one yet says that it serves nothing."""
    try:
        found: dict[str, Any] = json.loads(card.read_text())
    except (OSError, ValueError):
        return {"pid": pid, "model_version": None}
    return found


def same_version(cards: list[dict[str, Any]]) -> str | None:
    """The version that every one of these workers serves; None when they differ, or one serves nothing."""
    found = {card["model_version"] for card in cards}
    return found.pop() if len(found) == 1 else None
