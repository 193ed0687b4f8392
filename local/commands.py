"""The commands of the stack, for people."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from homeprices.errors import HomePricesError
from local import display, lifecycle
from local.display import Show, progress, show_end, show_new, status_table
from local.first_run import FirstRun
from local.services.catalogue import services
from local.stack import Stack
from local.supervision import accounts, processes, status_board
from local.supervision.processes import CommandFailed
from local.supervision.supervisor import Supervisor, lock

RESTART_SECONDS = 60.0
LOOK_SECONDS = 0.25
NEW_PYTHON = (3, 14)
"""Allowed, and new here: `up` says so."""

ADDRESSES = [
    ("Web form", "frontend", ""),
    ("API, both models behind the router", "router", ""),
    ("Airflow", "airflow", "user airflow, password airflow"),
    ("MLflow", "mlflow", ""),
]

console = Console()


def up(stack: Stack) -> int:
    """Start the stack unless it runs, wait until all is ready and the first models are served, print the addresses."""
    if sys.version_info >= NEW_PYTHON:
        console.print(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} is new here and less tested than 3.11 to 3.13.",
            highlight=False,
        )
    dataset = Path(given).resolve() if (given := os.environ.get("DATASET")) else None
    if dataset is not None and not dataset.is_file():
        console.print(f"DATASET is {given}, and there is no such file", highlight=False)
        return 1
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _as_interrupt)
    was_running = lifecycle.is_running(stack)
    try:
        if was_running:
            console.print("The stack is running already.")
        else:
            lifecycle.start(stack, os.environ)
        with progress(console) as show:
            for current in lifecycle.follow(stack):
                show(current, "")
            said = _first_run(stack, dataset, show)
    except KeyboardInterrupt:
        console.print("Interrupted; stopping what was started.")
        _stop(stack)
        return 130
    except (lifecycle.StartFailed, CommandFailed, HomePricesError) as error:
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        if was_running:
            return 1
        console.print("Stopping what was started.")
        _stop(stack)
        return 1
    _print_addresses(stack, said)
    return 0


def down(stack: Stack) -> int:
    """Stop the stack, and whatever an earlier one has left."""
    if not stack.folder.exists():
        console.print("There is no stack here.")
        return 0
    ran = lifecycle.is_running(stack)
    left = _stop(stack)
    if left:
        console.print(f"Stopped what nobody watched any more: {', '.join(left)}.", highlight=False)
    console.print("The stack is stopped. Its data stays for the next start." if ran else "The stack was not running.")
    return 0


def status(stack: Stack) -> int:
    """Print every service; 0 when all are well, 1 when one is not, 3 when the stack does not run."""
    known = status_board.read(stack.status_file)
    if known is None or not lifecycle.is_running(stack):
        left = processes.marked(stack.mark, stack.folder) if stack.folder.exists() else []
        console.print(f"The stack is not running{f', but {len(left)} of its processes are' if left else ''}.")
        return 3
    pids = {name: entry.pid for name, entry in known.services.items() if entry.pid}
    console.print(
        status_table(known, display.by_service(stack.mark, stack.folder, {**pids, "supervisor": known.supervisor}))
    )
    return 0 if known.all_good else 1


def logs(stack: Stack, name: str | None, *, follow: bool) -> int:
    """Print the end of one log, or of all; with `follow`, whatever is added until Ctrl-C."""
    files = sorted(stack.logs.glob(f"{name or '*'}.log"))
    if not files:
        known = ", ".join(sorted(file.stem for file in stack.logs.glob("*.log")))
        console.print(
            f"There is no log of {name}; there are {known or 'none yet'}." if name else "There are no logs yet."
        )
        return 1
    positions = show_end(files)
    try:
        while follow:
            positions = show_new(positions)
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        pass
    return 0


def restart(stack: Stack, name: str) -> int:
    """Have the supervisor restart one service, and wait until it is ready again."""
    known = status_board.read(stack.status_file)
    if known is None or not lifecycle.is_running(stack):
        console.print("The stack is not running.")
        return 3
    if not known.services.get(name, status_board.Entry()).pid:
        running = ", ".join(name for name, entry in known.services.items() if entry.pid)
        console.print(f"{name} is no running service; running are {running}.", highlight=False)
        return 1
    asked = time.time()
    (stack.requests / name).touch()
    while time.time() < asked + RESTART_SECONDS:
        current = status_board.read(stack.status_file)
        if (
            current
            and current.services[name].phase is status_board.Phase.READY
            and current.services[name].since > asked
        ):
            console.print(f"{name} is ready again.")
            return 0
        time.sleep(LOOK_SECONDS)
    console.print(f"{name} is not ready after {RESTART_SECONDS:.0f} s; see {stack.logs / name}.log", highlight=False)
    return 1


def clean(stack: Stack) -> int:
    """Stop the stack and remove its folder, with all data."""
    if not (stack.folder / "id").exists():
        console.print(f"There is no stack in {stack.folder}.", highlight=False)
        return 0
    _stop(stack)
    accounts.remove(stack.folder)
    console.print(f"Removed {stack.folder}.", highlight=False)
    return 0


def supervise(stack: Stack) -> int:
    """What `up` leaves running in the background."""
    held = lock(stack.lock_file)
    try:
        return 0 if Supervisor(stack, services(stack)).run() else 1
    finally:
        os.close(held)


def _first_run(stack: Stack, dataset: Path | None, show: Show) -> str:
    def say(activity: str) -> None:
        current = status_board.read(stack.status_file)
        if current is None or not lifecycle.is_running(stack):
            raise lifecycle.StartFailed(f"the supervisor has ended\n{lifecycle.log_end(stack, 'supervisor')}")
        show(current, activity)

    run = FirstRun(stack, say)
    if run.is_done:
        if dataset:
            run.import_dataset(dataset, notify=True)
        return ""
    run.import_dataset(dataset, notify=False)
    return run.wait_for_models()


def _stop(stack: Stack) -> list[str]:
    """Stop; at a Ctrl-C while it waits, kill instead."""
    try:
        return lifecycle.stop(stack)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return processes.sweep(stack.mark, stack.folder, grace_seconds=0)


def _as_interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print_addresses(stack: Stack, said: str) -> None:
    table = Table.grid(padding=(0, 2))
    for title, purpose, remark in ADDRESSES:
        table.add_row(title, stack.url(purpose), remark)
    s3 = "S3 (SeaweedFS)" if stack.has_own_s3 else "S3"
    bucket = f"bucket {stack.bucket['MLFLOW_S3_BUCKET']}, credentials in .stack/env"
    table.add_row(s3, stack.bucket.get("AWS_ENDPOINT_URL_S3", "AWS"), bucket)
    console.print(*([f"The stack is ready: {said}."] if said else ["The stack is ready."]), highlight=False)
    console.print(table)
