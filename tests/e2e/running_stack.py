"""The whole stack, started as a new user would start it, in its own folder and on its own ports."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from dotenv import dotenv_values

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.names import TRAINING_DAG
from homeprices.resources import Resources
from homeprices.settings import load_settings
from local.ports import Ports
from local.supervision import status_board

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
UP_SECONDS = 900
TRAINING_SECONDS = 900
"""Enough for a machine that has other work; a training takes less than a minute."""
OFFSETS = {"loop": 0, "lifecycle": 200, "runbook": 400, "second domain": 1100}
"""Of the stacks that may run at once, to `E2E_PORT_OFFSET`."""
LEFT_OUT = ("HOMEPRICES_", "AWS_", "POSTGRES_", "AIRFLOW_", "COVERAGE_")
"""Settings of the machine's user; and the measurement of coverage, which doubles the processor time of a stack."""


def port_offset(stack: str) -> int:
    """Return by how much the ports of one of these stacks are higher than the default ones."""
    return int(os.environ.get("E2E_PORT_OFFSET", "3000")) + OFFSETS[stack]


class RunningStack:
    """A stack started by `python -m local up` in `folder`, with every port moved by `offset` and its own settings.

    `root` is the project that it runs.
    """

    def __init__(self, folder: Path, offset: int, *, root: Path = ROOT, **settings: str) -> None:
        self.folder, self.root = folder, root
        self.ports = Ports.moved_by(str(offset))
        self.connected = False
        keep = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
        self.environ = {**keep, **settings, "STACK_DIR": str(folder), "STACK_PORT_OFFSET": str(offset)}

    def local(self, *words: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `python -m local ...`; on failure the test fails with its output."""
        command = [sys.executable, "-m", "local", *words]
        done = subprocess.run(
            command, cwd=self.root, env=self.environ, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == 0, (
            f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        )
        return done

    def up(self) -> str:
        """Start the stack; return its output once BO1 and CO1 are served."""
        return self.local("up", seconds=UP_SECONDS).stdout

    def close(self) -> None:
        """Close the connections of `connect`."""
        if self.connected:
            self.airflow.close()
            self.resources.engine.dispose()
            self.connected = False

    def connect(self) -> None:
        """Read the addresses and credentials of the running stack."""
        self.close()
        values = {k: v for k, v in dotenv_values(self.folder / "env").items() if v is not None}
        self.resources = Resources(load_settings(values, ()))
        self.airflow = AirflowClient(self.resources.settings)
        self.connected = True
        self.router = self.resources.settings.router_url
        self.tool_environ = {**self.environ, **values}

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the project as a user of the running stack."""
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=self.root, env=self.tool_environ, capture_output=True, text=True, timeout=120, check=False
        )

    def health(self, variant: str) -> dict[str, Any]:
        """Return `/api/health` of the service of a variant."""
        url = self.resources.settings.replica_urls(variant)[0]  # type: ignore[arg-type]
        return dict(httpx.get(f"{url}/api/health", timeout=60).json())

    def wait_for_run(self, dag_id: str, run_id: str, seconds: float = TRAINING_SECONDS) -> dict[str, Any]:
        """Return the finished run; the test fails with its task states and its note unless it succeeded."""
        run = wait_until(
            lambda: r if (r := self.airflow.run(dag_id, run_id))["state"] in {"success", "failed"} else None,
            seconds, f"the end of {dag_id} {run_id}",
        )  # fmt: skip
        tasks = {t["task_id"]: t["state"] for t in self.airflow.tasks(dag_id, run_id)}
        assert run["state"] == "success", f"{run['note']} {tasks}"
        return run

    def wait_until_ready(self, service: str) -> None:
        """Wait until the supervisor has seen an answer of a service."""

        def ready() -> bool:
            status = status_board.read(self.folder / "status.json")
            return status is not None and status.services[service].phase is status_board.Phase.READY

        wait_until(ready, 120, f"{service} ready")

    def wait_for_version(self, variant: str, version: str) -> None:
        """Wait until a variant serves what a run of the pipeline trains; the test fails with the states of the runs."""
        try:
            wait_until(lambda: self.health(variant)["model_version"] == version, TRAINING_SECONDS, f"{version} served")
        except AssertionError as error:
            newest, *earlier = self.airflow.runs(TRAINING_DAG)
            tasks = {t["task_id"]: t["state"] for t in self.airflow.tasks(TRAINING_DAG, newest["dag_run_id"])}
            states = [(run["dag_run_id"], run["state"]) for run in earlier]
            raise AssertionError(
                f"{error}; {newest['dag_run_id']} {newest['state']}: {tasks}; before: {states}"
            ) from None

    def evaluate(self) -> dict[str, Any]:
        """Run the evaluation and wait for its end."""
        return self.wait_for_run("evaluate_ab_dag", self.airflow.trigger("evaluate_ab_dag"))


def wait_until(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """Return the first truthy result of `look`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds} s in vain for {what}")
