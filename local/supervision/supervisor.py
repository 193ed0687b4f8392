"""The process behind a running stack: starts every service, watches it, and ends it all.

Run in the background by `python -m local up`. It holds a lock on the stack's folder while it lives; SIGTERM and SIGINT
ask it to end the stack, and a file in `requests/` to restart one service.
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
"""Longest that an orderly end takes; what is left then is killed."""


class AlreadyRunning(Exception):
    """Another supervisor has this stack."""


class Supervisor:
    """Runs `services` until it is asked to end, or one of them cannot be started."""

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
        """Blocks until the stack has ended. False when a service could not be started."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._ask_to_stop)
        threads = [
            threading.Thread(target=runner.run, name=name, daemon=True) for name, runner in self._runners.items()
        ]
        for thread in threads:
            thread.start()
        while not self._stopping.wait(TICK_SECONDS):
            self._take_requests()
            if self._board.status.failed:
                self._stopping.set()
        for thread in threads:
            thread.join(THREADS_SECONDS)
        processes.sweep(self._stack.mark, self._stack.folder, grace_seconds=2.0)
        return not self._board.status.failed

    def _ask_to_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _take_requests(self) -> None:
        for request in self._stack.requests.glob("*"):
            request.unlink(missing_ok=True)
            if request.name in self._runners:
                self._runners[request.name].restart.set()


def dependents(name: str, services: Iterable[ServiceSpec]) -> list[str]:
    """The services that need this one, directly or through others."""
    needing = [service.name for service in services if name in service.depends_on]
    return sorted({*needing, *(further for one in needing for further in dependents(one, services))})


def lock(path: Path) -> int:
    """Take the lock that says a supervisor lives, for as long as this process does. Raises AlreadyRunning."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRunning(f"{path.parent} has a supervisor already") from None
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether a supervisor lives."""
    try:
        os.close(lock(path))
    except AlreadyRunning:
        return True
    return False
