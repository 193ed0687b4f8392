"""The first dataset and the first models of an empty stack, with a scheduler of lists in place of Airflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from homeprices.errors import NotFound, NotReady
from homeprices.workflows import first_run

LINK = "http://airflow/dags/x"


class Scheduler:
    """Answers as `AirflowClient`; each new run gets the next of `states`, and `served` follows from successes."""

    def __init__(self, *states: str, earlier: Sequence[str] = (), missing: int = 0) -> None:
        self.states, self.missing = list(states), missing
        self._runs = [{"dag_run_id": f"earlier{n}", "state": state} for n, state in enumerate(earlier)]
        self.triggered: list[str] = []

    def runs(self, _dag: str) -> list[dict[str, Any]]:
        return list(self._runs)

    def trigger(self, dag: str) -> str:
        if self.missing:
            self.missing -= 1
            raise NotFound(dag)
        name = f"run{len(self.triggered)}"
        self.triggered.append(name)
        self._runs.insert(0, {"dag_run_id": name, "state": self.states.pop(0)})
        return name

    def tasks(self, _dag: str, _run: str) -> list[dict[str, Any]]:
        return [{"task_id": "clean_listings", "state": "running"}, {"task_id": "check_dataset", "state": "success"}]

    def served(self) -> dict[str, str | None]:
        done = sum(run["state"] == "success" for run in self._runs)
        return {"infer-prod": "BO1" if done else None, "infer-cand": "CO1" if done > 1 else None}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll without a pause."""
    monkeypatch.setattr(first_run, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(first_run, "IDLE_SECONDS", 0.0)


def wait(scheduler: Scheduler, lines: list[str] | None = None) -> str:
    say = [].append if lines is None else lines.append
    return first_run.wait_for_models(scheduler, scheduler.served, say, LINK)  # type: ignore[arg-type]


def test_runs_are_started_until_both_services_serve_a_model() -> None:
    scheduler = Scheduler("success", "success")
    assert wait(scheduler) == "infer-prod serves BO1 and infer-cand serves CO1"
    assert scheduler.triggered == ["run0", "run1"]


def test_a_dag_that_airflow_has_not_read_is_waited_for() -> None:
    lines: list[str] = []
    assert "CO1" in wait(Scheduler("success", "success", missing=2), lines)
    assert lines.count("waiting until Airflow has read the DAGs") == 2


def test_a_failed_run_ends_the_wait_with_its_address_and_an_earlier_one_does_not() -> None:
    with pytest.raises(NotReady, match=f"{LINK}/runs/run0"):
        wait(Scheduler("failed", earlier=["failed"]))
    assert "CO1" in wait(Scheduler("success", "success", earlier=["failed"]))


def test_production_alone_is_enough_where_no_candidate_differs() -> None:
    scheduler = Scheduler("success", "skipped", "skipped")
    assert wait(scheduler) == "infer-prod serves BO1; no candidate differs from it yet"


def test_the_tasks_of_an_active_run_are_shown_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_run, "MODELS_SECONDS", 0.05)
    lines: list[str] = []
    with pytest.raises(NotReady, match="no two models"):
        wait(Scheduler(earlier=["running"]), lines)
    assert set(lines) == {"training: clean_listings (1 of 2 tasks done)"}


def test_an_active_run_is_not_joined_by_a_second() -> None:
    assert first_run.start_training(Scheduler(earlier=["success", "running"])) == "earlier1"  # type: ignore[arg-type]
    assert first_run.start_training(Scheduler("queued", earlier=["success"])) == "run0"  # type: ignore[arg-type]


@pytest.mark.parametrize(("path", "name", "made"), [(None, "/x/synthetic.csv", 1), (Path("/y/a.csv"), "/y/a.csv", 0)])
def test_the_dataset_is_the_named_file_or_a_synthetic_one(path: Path | None, name: str, made: int) -> None:
    ran: list[Sequence[str]] = []
    first_run.import_dataset(ran.append, path, Path("/x"), notify=False)
    source = ["--source", "synthetic listings"] * made
    assert ran == [["data", "synthesize", "--out", name]] * made + [["data", "import", name, *source, "--no-notify"]]
