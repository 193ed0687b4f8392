"""The lifecycle of one service under the supervisor: wait, prepare, start, probe, restart, stop."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.supervision import processes
from local.supervision.service_spec import Command, ServiceSpec
from local.supervision.status_board import GOOD, Phase, StatusBoard

POLL_SECONDS = 0.25
"""Interval of the readiness probe of a starting service, and of the check that its process runs."""

CHECK_EVERY_SECONDS = 10.0
"""Interval of the probe of a ready service."""

FIRST_ATTEMPTS = 3
"""The starts after which a service that was never ready counts as failed."""

LONGEST_BACKOFF_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A service that ran this long before it died restarts without the backoff of its earlier deaths."""

DEPENDENTS_SECONDS = 60.0
ENDED = frozenset({Phase.STOPPED, Phase.FAILED, Phase.DONE})


class Stopping(Exception):
    """The stack is being stopped."""


class NotReadyInTime(Exception):
    """A service lives but does not become ready."""


def backoff(deaths: int) -> float:
    """Return the seconds until the next start after so many deaths in a row: 1, 2, 4, ... 30."""
    return min(LONGEST_BACKOFF_SECONDS, 2.0 ** (deaths - 1))


@dataclass
class Runner:
    """Runs one service until `stopping` is set. It stops after its `dependents`."""

    service: ServiceSpec
    board: StatusBoard
    mark: str
    log: Path
    dependents: Sequence[str]
    stopping: threading.Event
    restart: threading.Event = field(default_factory=threading.Event)
    _pid: int | None = None
    _deaths: int = 0
    _was_ready: bool = False

    def run(self) -> None:
        """Run the service until the stack stops. Never raises: errors appear on the status board."""
        try:
            while not self._attempt():
                pass
        except Stopping:
            self._note(Phase.STOPPING)
            self.board.wait_for(self.dependents, ENDED, DEPENDENTS_SECONDS)
            self._end_process()
            self._note(Phase.STOPPED)

    def _attempt(self) -> bool:
        """Start the service once and watch it until it ends. Return whether it is done or has failed for good."""
        try:
            if not self._was_ready:  # once ready, a service must tolerate missing dependencies
                self._wait_for_dependencies()
            if self.service.pre_start:
                self._note(Phase.PREPARING)
                self.service.pre_start(self._job)
            if not self.service.argv:
                self._note(Phase.DONE)
                return True
            reason, final = self._start_and_watch(), False
        except Stopping:
            raise
        except Exception as error:  # a hook may raise anything: show it and retry
            reason, final = str(error) or type(error).__name__, isinstance(error, NotReadyInTime)
        self._end_process()
        if self.restart.is_set():
            self.restart.clear()
            self._deaths = 0
            self._note(Phase.STARTING, "restart requested", died=True)
            return False
        self._deaths += 1
        if not self._was_ready and (final or self._deaths >= FIRST_ATTEMPTS):
            self._note(Phase.FAILED, reason)
            return True
        self._back_off(reason)
        return False

    def _wait_for_dependencies(self) -> None:
        while missing := [n for n in self.service.depends_on if self.board.status.services[n].phase not in GOOD]:
            self._note(Phase.WAITING, f"for {', '.join(missing)}")
            self.board.wait_for(missing, GOOD, POLL_SECONDS)
            self._sleep(0)

    def _start_and_watch(self) -> str:
        """Start the program, probe it until it ends or must restart, and return the reason."""
        started = time.time()
        process = processes.start(self.service, self.mark, self.log)
        self._pid = process.pid
        self._note(Phase.STARTING)
        settled, next_check = False, 0.0
        while process.poll() is None and not self.restart.is_set():
            if time.time() >= next_check:
                settled = self._check(started, settled)
                next_check = time.time() + (CHECK_EVERY_SECONDS if settled else 0)
            self._sleep(POLL_SECONDS)
        if time.time() > started + STEADY_SECONDS:
            self._deaths = 0
        return f"ended with {processes.ending(process.returncode)}"

    def _check(self, started: float, settled: bool) -> bool:
        missing = self.service.ready(started)
        if missing is None:
            if not settled and self.service.post_start:
                self.service.post_start(self._job)
            self._was_ready = True
            self._note(Phase.READY)
            return True
        if settled:
            self._note(Phase.SILENT, missing)
        elif time.time() > started + self.service.ready_seconds:
            raise NotReadyInTime(f"not ready after {self.service.ready_seconds:.0f} s: {missing}")
        else:
            self._note(Phase.STARTING, missing)
        return settled

    def _back_off(self, reason: str) -> None:
        seconds = backoff(self._deaths)
        self._note(Phase.BACKING_OFF, f"{reason}; starts again in {seconds:.0f} s", died=True)
        until = time.time() + seconds
        while time.time() < until and not self.restart.is_set():
            self._sleep(POLL_SECONDS)
        self.restart.clear()

    def _end_process(self) -> None:
        if self._pid is not None:
            with contextlib.suppress(Exception):  # the sweep at the stop of the stack ends what this leaves
                processes.stop(self._pid, self.service.stop_seconds, self.service.stop_signal)
            self._pid = None

    def _job(self, command: Command) -> None:
        processes.run(command, self.mark, self.log, self.stopping.is_set)

    def _sleep(self, seconds: float) -> None:
        if self.stopping.wait(seconds):
            raise Stopping

    def _note(self, phase: Phase, detail: str = "", died: bool = False) -> None:
        self.board.set(self.service.name, phase, detail, self._pid, died)
