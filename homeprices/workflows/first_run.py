"""First dataset and first models of an empty stack; `make up` and the Compose stack share these steps.

The first training run publishes BO1 and requests a candidate. The run that follows publishes CO1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeprices.errors import NotFound, NotReady, Unavailable
from homeprices.names import SYNTHETIC_SOURCE, TRAINING_DAG

if TYPE_CHECKING:
    from homeprices.adapters.airflow_client import AirflowClient

ACTIVE = frozenset({"queued", "running"})
MODELS_SECONDS = 1_200.0
POLL_SECONDS = 1.0
IDLE_SECONDS = 30.0
"""One run requests the next by an asset event, which the scheduler handles within this time."""

MAX_RUNS = 3

RunCommand = Callable[[Sequence[str]], None]
"""Runs `homeprices` with these arguments in a separate process."""

Say = Callable[[str], None]


def import_dataset(
    run: RunCommand, path: Path | None, folder: Path, *, notify: bool, say: Say = lambda _: None
) -> None:
    """Store the CSV file, or synthetic listings written into `folder`. Raises what `run` raises."""
    source = []
    if path is None:
        path = folder / "synthetic.csv"
        say(f"making {SYNTHETIC_SOURCE}")
        run(["data", "synthesize", "--out", str(path)])
        source = ["--source", SYNTHETIC_SOURCE]
    say(f"importing {path.name}")
    run(["data", "import", str(path), *source, "--notify" if notify else "--no-notify"])


def start_training(airflow: AirflowClient) -> str:
    """Return the id of the active training run, or of a new one.

    Raises NotFound while Airflow has not read the DAGs, and Unavailable.
    """
    active = [run["dag_run_id"] for run in airflow.runs(TRAINING_DAG) if run["state"] in ACTIVE]
    return str(active[0]) if active else airflow.trigger(TRAINING_DAG)


def wait_for_models(airflow: AirflowClient, served: Callable[[], Mapping[str, str | None]], say: Say, link: str) -> str:
    """Have the pipeline run until production and candidate serve a model; return one line on what is served.

    `served` maps the service of production, then the candidate's, to the version that it serves. `link` is where people
    see the DAG. Raises NotReady if a run fails, or after 20 minutes.
    """
    deadline = time.monotonic() + MODELS_SECONDS
    idle_since = time.monotonic()
    triggered = 0
    earlier = {run["dag_run_id"] for run in _runs(airflow) if run["state"] not in ACTIVE}
    while time.monotonic() < deadline:
        versions = served()
        if all(versions.values()):
            return " and ".join(f"{name} serves {version}" for name, version in versions.items())
        runs = [run for run in _runs(airflow) if run["dag_run_id"] not in earlier]
        if failed := [run["dag_run_id"] for run in runs if run["state"] == "failed"]:
            raise NotReady(f"the training failed; see {link}/runs/{failed[0]}")
        if active := [run for run in runs if run["state"] in ACTIVE]:
            idle_since = time.monotonic()
            _report_progress(airflow, active[0]["dag_run_id"], say)
        elif triggered == 0 or time.monotonic() > idle_since + IDLE_SECONDS:
            production, version = next(iter(versions.items()))
            if version and triggered + 1 >= MAX_RUNS:
                return f"{production} serves {version}; no candidate differs from it yet"
            triggered += _trigger(airflow, say)
            idle_since = time.monotonic()
        time.sleep(POLL_SECONDS)
    raise NotReady(f"no two models after {MODELS_SECONDS:.0f} s; see {link}")


def _runs(airflow: AirflowClient) -> list[dict[str, Any]]:
    try:
        return airflow.runs(TRAINING_DAG)
    except (NotFound, Unavailable):
        return []


def _trigger(airflow: AirflowClient, say: Say) -> bool:
    try:
        start_training(airflow)
    except NotFound:
        say("waiting until Airflow has read the DAGs")
        return False
    except Unavailable as error:
        say(str(error))
        return False
    return True


def _report_progress(airflow: AirflowClient, run_id: str, say: Say) -> None:
    try:
        tasks = airflow.tasks(TRAINING_DAG, run_id)
    except (NotFound, Unavailable):
        return
    working = sorted({task["task_id"] for task in tasks if task["state"] == "running"})
    done = sum(task["state"] in ("success", "skipped") for task in tasks)
    say(f"training: {', '.join(working) or 'between two tasks'} ({done} of {len(tasks)} tasks done)")
