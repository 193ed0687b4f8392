"""Start, stop and find the processes of a stack.

Every process of a stack has the stack's id in its environment, and its output goes to a file of the stack. Programs
that overwrite their environment to set their title (PostgreSQL, Nginx) are found by their output instead. So processes
that `kill -9` has orphaned are found too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil

from local.supervision.service_spec import Command, ServiceSpec, UnixAccount

MARK = "STACK_ID"
KILL_SECONDS = 5.0
"""The longest time that the kernel may take to remove processes after SIGKILL."""

ORPHANS_SECONDS = 2.0
"""The grace period of processes whose session leader has died."""

POLL_SECONDS = 0.05

PRIVATE = 0o077
"""The umask of a stack: no other user reads what it writes."""


class CommandFailed(Exception):
    """A program ended with an error; its output is in the log that the message names."""


Child = Callable[[], None]
"""Runs in the child between fork and exec."""


def start(service: ServiceSpec, mark: str, log: Path, in_child: Child | None = None) -> subprocess.Popen[bytes]:
    """Start a service in a new session; append its output to `log`."""
    return _spawn(service.argv, service.env, service.cwd, service.account, mark, log, in_child=in_child)


def run(command: Command, mark: str, log: Path, stopping: Callable[[], bool] = lambda: False) -> None:
    """Run a program until it ends or `stopping` is true; append its output to `log`. Raises CommandFailed."""
    process = _spawn(command.argv, command.env, command.cwd, command.account, mark, log)
    while process.poll() is None:
        if stopping():
            stop(process.pid, 2.0)
            process.wait()
            raise CommandFailed(f"{Path(command.argv[0]).name} was stopped")
        time.sleep(POLL_SECONDS)
    if process.returncode != 0:
        raise CommandFailed(f"{' '.join(map(_short, command.argv[:4]))} ended with {process.returncode}; see {log}")


def ending(code: int | None) -> str:
    """Describe how a process ended: its exit status, or the name of the signal."""
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"status {code}"


def stop(pid: int, grace_seconds: float, signum: int = signal.SIGTERM) -> None:
    """Signal a process to end; after `grace_seconds` kill it and its descendants.

    If it has died already, stop the rest of its session, with a shorter grace period, because it may hold the port:
    gunicorn's workers live as long as a client keeps a connection.
    """
    try:
        leader = psutil.Process(pid)
        family = [leader, *leader.children(recursive=True)]
        leader.send_signal(signum)
    except psutil.NoSuchProcess:
        family, grace_seconds = _session(pid), min(grace_seconds, ORPHANS_SECONDS)
        _signal(family, signum)
    alive = wait(family, grace_seconds)
    kill([*alive, *(child for process in alive for child in _descendants(process))])


def kill(processes: Iterable[psutil.Process]) -> None:
    """Send SIGKILL, and wait until the processes are gone."""
    targets = list(processes)
    _signal(targets, signal.SIGKILL)
    wait(targets, KILL_SECONDS)


def wait(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended; return those that have not after `seconds`. A zombie has ended."""
    deadline = time.monotonic() + seconds
    while True:
        alive = [process for process in processes if _alive(process)]
        if not alive or time.monotonic() >= deadline:
            return alive
        time.sleep(POLL_SECONDS)


def marked(mark: str, folder: Path) -> list[psutil.Process]:
    """Return the live processes of a stack: those with its mark or with output in its `folder`, and their descendants.

    This process and its ancestors are excluded.
    """
    me = psutil.Process()
    excluded = {me.pid, *(parent.pid for parent in me.parents())}
    by_pid: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid not in excluded and _alive(process) and _belongs(process, mark, folder):
            by_pid[process.pid] = process
    for process in list(by_pid.values()):
        by_pid.update({child.pid: child for child in _descendants(process) if child.pid not in excluded})
    return list(by_pid.values())


def sweep(mark: str, folder: Path, grace_seconds: float = 10.0) -> list[str]:
    """Stop every process of a stack; return a description of each."""
    swept: dict[int, str] = {}
    for grace in (grace_seconds, 0.0, 0.0):  # repeated for processes that were forked meanwhile
        live = marked(mark, folder)
        swept.update({process.pid: describe(process) for process in live})
        _signal(live, signal.SIGTERM)
        kill(wait(live, grace))
    return list(swept.values())


def describe(process: psutil.Process) -> str:
    """Return the name and id of a process."""
    try:
        return f"{process.name()} ({process.pid})"
    except psutil.Error:
        return f"process {process.pid}"


def _spawn(
    argv: tuple[str, ...],
    env: Mapping[str, str],
    cwd: Path,
    account: UnixAccount | None,
    mark: str,
    log: Path,
    in_child: Child | None = None,
) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            env={**env, MARK: mark},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=in_child,
            umask=PRIVATE,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def _belongs(process: psutil.Process, mark: str, folder: Path) -> bool:
    try:
        if process.environ().get(MARK) == mark:
            return True
    except (psutil.Error, OSError):
        pass
    return any(output.is_relative_to(folder) for output in outputs(process.pid))


def outputs(pid: int) -> list[Path]:
    """Return the files of a process's standard output and standard error, as far as permissions allow."""
    files = []
    for number in (1, 2):
        try:
            files.append(Path(f"/proc/{pid}/fd/{number}").readlink())
        except OSError:
            continue
    return files


def _session(leader: int) -> list[psutil.Process]:
    """Return the live processes of the session of `leader`, which opened it."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            if os.getsid(process.pid) == leader and _alive(process):
                members.append(process)
    return members


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(processes: Iterable[psutil.Process], signum: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signum)


def _short(argument: str) -> str:
    return Path(argument).name if argument.startswith("/") else argument
