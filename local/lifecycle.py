"""Lifecycle of a stack: start the supervisor in the background, follow it, stop it and sweep up what is left."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import psutil

from local import display, ports
from local.stack import ROOT, Stack
from local.supervision import processes, status_board
from local.supervision.status_board import Status
from local.supervision.supervisor import THREADS_SECONDS, is_locked

SUPERVISOR_SECONDS = 15.0
POLL_SECONDS = 0.2


class StartFailed(Exception):
    """The stack could not be started; the message says which service, and the end of its log."""


def is_running(stack: Stack) -> bool:
    """Whether a supervisor runs this stack."""
    return stack.lock_file.exists() and is_locked(stack.lock_file)


def start(stack: Stack, environ: Mapping[str, str]) -> list[str]:
    """Start the supervisor of a stack that has none; return descriptions of leftover processes, which it stops first.

    Raises PortsRefused (before it starts anything) and StartFailed.
    """
    stack.make_folder()
    left = processes.sweep(stack.mark, stack.folder)
    ports.check_free(stack.listens_on)
    stack.status_file.unlink(missing_ok=True)
    display.rotate_logs(stack.logs)
    stack.write_env()
    with (stack.logs / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local", "supervise"],
            env={**environ, processes.MARK: stack.mark},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + SUPERVISOR_SECONDS
    while not (stack.status_file.exists() and is_running(stack)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StartFailed(f"the supervisor did not start\n{log_end(stack, 'supervisor')}")
        time.sleep(POLL_SECONDS)
    return left


def follow(stack: Stack) -> Iterator[Status]:
    """Yield the state of a starting stack repeatedly until every service is ready. Raises StartFailed."""
    while True:
        status = status_board.read(stack.status_file)
        if status is not None:
            if status.failed:
                raise StartFailed("\n".join(_why(stack, status, name) for name in status.failed))
            yield status
            if status.all_good:
                return
        if not is_running(stack):
            raise StartFailed(f"the supervisor has ended\n{log_end(stack, 'supervisor')}")
        time.sleep(POLL_SECONDS)


def stop(stack: Stack) -> list[str]:
    """Stop everything, in order when a supervisor runs; return descriptions of the processes swept up after it."""
    status = status_board.read(stack.status_file)
    if status is not None and is_running(stack):
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisor = psutil.Process(status.supervisor)
            supervisor.terminate()
            processes.wait([supervisor], THREADS_SECONDS + SUPERVISOR_SECONDS)
    stack.env_file.unlink(missing_ok=True)
    return processes.sweep(stack.mark, stack.folder)


def log_end(stack: Stack, name: str, lines: int = 15) -> str:
    """Return the last lines of a service's log, indented."""
    file = stack.logs / f"{name}.log"
    if not file.exists():
        return ""
    end = file.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"the end of {file}:", *(f"  {line}" for line in end)])


def _why(stack: Stack, status: Status, name: str) -> str:
    return f"{name} could not be started: {status.services[name].detail}\n{log_end(stack, name)}"
