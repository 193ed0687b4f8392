"""The state of each service of a stack, shared by the supervisor's threads and written to a file for others."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from homeprices.files import write_atomic


class Phase(StrEnum):
    """The phase of a service in its lifecycle."""

    WAITING = "waiting"
    PREPARING = "preparing"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    SILENT = "silent"
    BACKING_OFF = "backing off"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


GOOD = frozenset({Phase.READY, Phase.DONE})


@dataclass(frozen=True)
class Entry:
    """One service: its phase since a time (seconds since the epoch); `detail` says what it waits for or died of."""

    phase: Phase = Phase.WAITING
    since: float = 0.0
    pid: int | None = None
    restarts: int = 0
    detail: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """The state of a whole stack."""

    supervisor: int
    started: float
    services: Mapping[str, Entry]

    @property
    def all_good(self) -> bool:
        """Whether every service is ready or done."""
        return all(entry.phase in GOOD for entry in self.services.values())

    @property
    def failed(self) -> list[str]:
        """The services that could not be started."""
        return [name for name, entry in self.services.items() if entry.phase is Phase.FAILED]


class StatusBoard:
    """The entries of all services; each change is written to `path` at once."""

    def __init__(self, path: Path, supervisor: int, services: Mapping[str, Mapping[str, int]]) -> None:
        now = time.time()
        self._path = path
        self._lock = threading.Condition()
        self._status = Status(
            supervisor, now, {name: Entry(since=now, ports=ports) for name, ports in services.items()}
        )
        self._write()

    def set(self, name: str, phase: Phase, detail: str = "", pid: int | None = None, died: bool = False) -> None:
        """Record the phase of a service; `died` counts a restart."""
        with self._lock:
            old = self._status.services[name]
            if (old.phase, old.detail, old.pid) == (phase, detail, pid) and not died:
                return
            entry = Entry(
                phase=phase,
                since=old.since if old.phase is phase else time.time(),
                pid=pid,
                restarts=old.restarts + died,
                detail=detail,
                ports=old.ports,
            )
            self._status = replace(self._status, services={**self._status.services, name: entry})
            self._write()
            self._lock.notify_all()

    def wait_for(self, names: Iterable[str], phases: frozenset[Phase], seconds: float) -> bool:
        """Wait until all of these services are in one of the phases; return False if not after `seconds`."""
        wanted = list(names)
        with self._lock:
            return self._lock.wait_for(
                lambda: all(self._status.services[name].phase in phases for name in wanted), seconds
            )

    @property
    def status(self) -> Status:
        """The current state."""
        return self._status

    def _write(self) -> None:
        write_atomic(self._path, json.dumps(asdict(self._status), indent=1), private=True)


def read(path: Path) -> Status | None:
    """Return the state that a supervisor wrote last; None when there is none."""
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    entries = {name: Entry(**{**entry, "phase": Phase(entry["phase"])}) for name, entry in raw["services"].items()}
    return Status(raw["supervisor"], raw["started"], entries)
