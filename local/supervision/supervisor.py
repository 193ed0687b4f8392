"""The supervisor: the background process that starts, watches and stops every service of a stack.

`python -m local up` starts it. It holds a lock on the stack's folder while it runs. SIGTERM and SIGINT make it stop the
stack, and a file in `requests/` makes it restart one service.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType

from local.stack import Stack
from local.supervision import processes
from local.supervision.runner import Runner
from local.supervision.service_spec import ServiceSpec
from local.supervision.status_board import StatusBoard

TICK_SECONDS = 0.25
THREADS_SECONDS = 90.0
"""The longest time that an orderly stop may take; the processes left then are killed."""


class AlreadyRunning(Exception):
    """Another supervisor runs this stack."""


class Supervisor:
    """Runs `services` until a signal stops it or one of them cannot be started."""

    def __init__(self, stack: Stack, services: Sequence[ServiceSpec]) -> None:
        self._stack = stack
        self._stopping = threading.Event()
        self._board = StatusBoard(stack.status_file, os.getpid(), {service.name: service.ports for service in services})
        self._runners = {
            service.name: Runner(
                service=service,
                board=self._board,
                mark=stack.mark,
                log=stack.logs / f"{service.name}.log",
                dependents=dependents(service.name, services),
                stopping=self._stopping,
            )
            for service in services
        }

    def run(self) -> bool:
        """Block until the stack has stopped. Return False when a service could not be started."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._request_stop)
        threads = [
            threading.Thread(target=runner.run, name=name, daemon=True) for name, runner in self._runners.items()
        ]
        for thread in threads:
            thread.start()
        while not self._stopping.wait(TICK_SECONDS):
            self._process_requests()
            if self._board.status.failed:
                self._stopping.set()
        for thread in threads:
            thread.join(THREADS_SECONDS)
        processes.sweep(self._stack.mark, self._stack.folder, grace_seconds=2.0)
        return not self._board.status.failed

    def _request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _process_requests(self) -> None:
        for request in self._stack.requests.glob("*"):
            request.unlink(missing_ok=True)
            if request.name in self._runners:
                self._runners[request.name].restart.set()


def dependents(name: str, services: Iterable[ServiceSpec]) -> list[str]:
    """Return the services that depend on this one, directly or through others."""
    needing = [service.name for service in services if name in service.depends_on]
    return sorted({*needing, *(further for one in needing for further in dependents(one, services))})


def lock(path: Path) -> int:
    """Take the supervisor's lock for the life of this process. Raises AlreadyRunning."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRunning(f"{path.parent} has a supervisor already") from None
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether a supervisor holds the lock."""
    try:
        os.close(lock(path))
    except AlreadyRunning:
        return True
    return False
