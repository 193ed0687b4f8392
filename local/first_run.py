"""What the first `up` does once every service is ready: a dataset, and the first two models, served."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.errors import NotFound, Unavailable
from homeprices.names import TRAINING_DAG
from homeprices.settings import load_settings
from local.stack import ROOT, Stack
from local.supervision import probes, processes
from local.supervision.service_spec import Command

ACTIVE = frozenset({"queued", "running"})
MODELS_SECONDS = 1_200.0
LOOK_SECONDS = 1.0
QUIET_SECONDS = 30.0
"""One run asks for the next by an asset event; so long may it take the scheduler to see it."""

MOST_RUNS = 3

Say = Callable[[str], None]


class FirstRunFailed(Exception):
    """No model came out of it; the message says where to look."""


@dataclass
class FirstRun:
    """The steps towards the first models of a stack. `say` is told what goes on."""

    stack: Stack
    say: Say

    @property
    def is_done(self) -> bool:
        """Whether an earlier `up` has come to the end of it."""
        return self._done_file.exists()

    def import_dataset(self, path: Path | None, *, notify: bool) -> None:
        """Store a dataset: the file, or synthetic listings. Raises CommandFailed."""
        if path is None:
            path = self.stack.folder / "synthetic.csv"
            self.say("making synthetic listings")
            self._data("synthesize", "--out", str(path))
        self.say(f"importing {path.name}")
        self._data("import", str(path), "--notify" if notify else "--no-notify")

    def wait_for_models(self) -> str:
        """Have the pipeline run until both services serve a model. Gives one line on what is served.

        Raises FirstRunFailed.
        """
        airflow = AirflowClient(load_settings(self.stack.environment(), ()))
        started = quiet_since = time.monotonic()
        triggered = 0
        earlier = {run["dag_run_id"] for run in _runs(airflow) if run["state"] not in ACTIVE}
        while time.monotonic() < started + MODELS_SECONDS:
            served = {name: served_version(self.stack.url(name)) for name in ("infer-prod", "infer-cand")}
            if all(served.values()):
                return self._finish(" and ".join(f"{name} serves {version}" for name, version in served.items()))
            runs = [run for run in _runs(airflow) if run["dag_run_id"] not in earlier]
            self._raise_if_failed(runs)
            if any(run["state"] in ACTIVE for run in runs):
                quiet_since = time.monotonic()
                self._tell_progress(airflow, runs)
            elif triggered == 0 or time.monotonic() > quiet_since + QUIET_SECONDS:
                if served["infer-prod"] and triggered + 1 >= MOST_RUNS:
                    return self._finish(f"infer-prod serves {served['infer-prod']}; no candidate differs from it yet")
                triggered += self._trigger(airflow)
                quiet_since = time.monotonic()
            time.sleep(LOOK_SECONDS)
        raise FirstRunFailed(
            f"no two models after {MODELS_SECONDS:.0f} s; see {self.stack.url('airflow')}/dags/{TRAINING_DAG}"
        )

    def _trigger(self, airflow: AirflowClient) -> bool:
        try:
            airflow.trigger(TRAINING_DAG)
        except NotFound:
            self.say("waiting until Airflow has read the DAGs")
            return False
        except Unavailable as error:
            self.say(str(error))
            return False
        return True

    def _tell_progress(self, airflow: AirflowClient, runs: list[dict[str, Any]]) -> None:
        run = next(run for run in runs if run["state"] in ACTIVE)
        try:
            tasks = airflow.tasks(TRAINING_DAG, run["dag_run_id"])
        except (NotFound, Unavailable):
            return
        working = sorted({task["task_id"] for task in tasks if task["state"] == "running"})
        done = sum(task["state"] in ("success", "skipped") for task in tasks)
        self.say(f"training: {', '.join(working) or 'between two tasks'} ({done} of {len(tasks)} tasks done)")

    def _raise_if_failed(self, runs: list[dict[str, Any]]) -> None:
        failed = [run["dag_run_id"] for run in runs if run["state"] == "failed"]
        if failed:
            raise FirstRunFailed(
                f"the training failed; see {self.stack.url('airflow')}/dags/{TRAINING_DAG}/runs/{failed[0]}"
            )

    def _finish(self, line: str) -> str:
        self._done_file.touch()
        return line

    def _data(self, *arguments: str) -> None:
        command = Command((sys.executable, "-m", "homeprices.data", *arguments), env=self.stack.environment(), cwd=ROOT)
        processes.run(command, self.stack.mark, self.stack.logs / "dataset.log")

    @property
    def _done_file(self) -> Path:
        return self.stack.folder / "first-run-done"


def served_version(url: str) -> str | None:
    """The version that every worker of a service serves, or None."""
    try:
        version = json.loads(probes.fetch(f"{url}/api/health")).get("model_version")
    except (OSError, ValueError):
        return None
    return str(version) if version else None


def _runs(airflow: AirflowClient) -> list[dict[str, Any]]:
    try:
        return airflow.runs(TRAINING_DAG)
    except (NotFound, Unavailable):
        return []
