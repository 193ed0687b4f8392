"""The commands of `python -m local`; each returns its exit status."""

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
from homeprices.settings import load_settings
from local import display, lifecycle
from local.display import Show, progress, show_end, show_new, status_table
from local.first_run import FirstRun
from local.services.catalogue import services
from local.stack import Stack
from local.supervision import accounts, processes, status_board
from local.supervision.processes import CommandFailed
from local.supervision.supervisor import Supervisor, lock

RESTART_SECONDS = 60.0
POLL_SECONDS = 0.25
NEW_PYTHON = (3, 14)
"""The first version that is supported but little tested: `up` prints a warning."""

ADDRESSES = [
    ("Web form", "frontend", "", ""),
    ("Operations page", "frontend", "/operations", ""),
    ("API, both models behind the router", "router", "", ""),
    ("Airflow", "airflow", "", "user airflow, password airflow"),
    ("MLflow", "mlflow", "", ""),
]

console = Console()


def up(stack: Stack) -> int:
    """Start the stack unless it runs, wait until it is ready and serves its first models, print the addresses."""
    if sys.version_info >= NEW_PYTHON:
        console.print(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} is new here and less tested than 3.11 to 3.13.",
            highlight=False,
        )
    dataset = Path(name).resolve() if (name := os.environ.get("DATASET")) else None
    if dataset is not None and not dataset.is_file():
        console.print(f"DATASET is {name}, and there is no such file", highlight=False)
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
            served = _first_run(stack, dataset, show)
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
    _print_addresses(stack, served)
    return 0


def down(stack: Stack) -> int:
    """Stop the stack and every process that an earlier one left behind."""
    if not stack.folder.exists():
        console.print("There is no stack here.")
        return 0
    ran = lifecycle.is_running(stack)
    left = _stop(stack)
    if left:
        console.print(f"Stopped processes without a supervisor: {', '.join(left)}.", highlight=False)
    console.print("The stack is stopped. Its data stays for the next start." if ran else "The stack was not running.")
    return 0


def status(stack: Stack) -> int:
    """Print every service; return 0 when all are ready, 1 when one is not, 3 when the stack does not run."""
    current = status_board.read(stack.status_file)
    if current is None or not lifecycle.is_running(stack):
        left = processes.marked(stack.mark, stack.folder) if stack.folder.exists() else []
        console.print(f"The stack is not running{f', but {len(left)} of its processes are' if left else ''}.")
        return 3
    pids = {name: entry.pid for name, entry in current.services.items() if entry.pid}
    pids["supervisor"] = current.supervisor
    console.print(status_table(current, display.memory_by_service(stack.mark, stack.folder, pids)))
    console.print(_policy(stack), highlight=False)
    console.print(_short_status(stack), highlight=False, markup=False, soft_wrap=True)
    return 0 if current.all_good else 1


def logs(stack: Stack, name: str | None, *, follow: bool) -> int:
    """Print the last lines of one log, or of all; with `follow`, also new lines until Ctrl-C."""
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
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        pass
    return 0


def restart(stack: Stack, name: str) -> int:
    """Make the supervisor restart one service, and wait until it is ready again."""
    current = status_board.read(stack.status_file)
    if current is None or not lifecycle.is_running(stack):
        console.print("The stack is not running.")
        return 3
    if not current.services.get(name, status_board.Entry()).pid:
        running = ", ".join(name for name, entry in current.services.items() if entry.pid)
        console.print(f"{name} is no running service; running are {running}.", highlight=False)
        return 1
    requested = time.time()
    (stack.requests / name).touch()
    while time.time() < requested + RESTART_SECONDS:
        current = status_board.read(stack.status_file)
        if (
            current
            and current.services[name].phase is status_board.Phase.READY
            and current.services[name].since > requested
        ):
            console.print(f"{name} is ready again.")
            return 0
        time.sleep(POLL_SECONDS)
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
    """Run the supervisor, which `up` starts in the background."""
    held = lock(stack.lock_file)
    try:
        return 0 if Supervisor(stack, services(stack)).run() else 1
    finally:
        os.close(held)


def _first_run(stack: Stack, dataset: Path | None, show: Show) -> str:
    def report(activity: str) -> None:
        current = status_board.read(stack.status_file)
        if current is None or not lifecycle.is_running(stack):
            raise lifecycle.StartFailed(f"the supervisor has ended\n{lifecycle.log_end(stack, 'supervisor')}")
        show(current, activity)

    run = FirstRun(stack, report)
    if run.is_done:
        if dataset:
            run.import_dataset(dataset, notify=True)
        return ""
    run.import_dataset(dataset, notify=False)
    return run.wait_for_models()


def _stop(stack: Stack) -> list[str]:
    """Stop the stack and describe the processes that were swept up; a second Ctrl-C kills instead of waiting."""
    try:
        return lifecycle.stop(stack)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return processes.sweep(stack.mark, stack.folder, grace_seconds=0)


def _as_interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _short_status(stack: Stack) -> str:
    """Return the short form of the operations page; without it, which DAGs are paused."""
    from homeprices.cli.stack_status import fetch, text_of  # imported here, because only this command needs them
    from homeprices.workflows.status import paused_lines

    settings = load_settings(stack.environment(), ())
    try:
        return text_of(fetch(settings))
    except HomePricesError as error:
        return "\n".join([str(error), *paused_lines(settings)])


def _policy(stack: Stack) -> str:
    """Return the name of the experiment's policy; for `demo`, also its limitation."""
    if stack.policy != "demo":
        return f"Policy of the experiment: {stack.policy}."
    return (
        "Policy of the experiment: demo, which promotes within minutes. Set HOMEPRICES_POLICY=sequential before real "
        "visitors come: ratings then promote after a day at the earliest."
    )


def _print_addresses(stack: Stack, served: str) -> None:
    table = Table.grid(padding=(0, 2))
    for title, purpose, path, remark in ADDRESSES:
        table.add_row(title, stack.url(purpose) + path, remark)
    s3 = "S3 (SeaweedFS)" if stack.has_own_s3 else "S3"
    bucket = f"bucket {stack.bucket()['MLFLOW_S3_BUCKET']}, credentials in .stack/env"
    table.add_row(s3, stack.bucket().get("AWS_ENDPOINT_URL_S3", "AWS"), bucket)
    console.print(f"The stack is ready: {served}." if served else "The stack is ready.", highlight=False)
    console.print(_policy(stack), highlight=False)
    console.print(table)
