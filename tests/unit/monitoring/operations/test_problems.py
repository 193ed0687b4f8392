"""What is wrong, by the parts of the status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitoring.operations.parts import Data
from monitoring.operations.problems import problems
from tests.support.operations import quiet_parts, trial_parts

NOW = datetime.now(UTC)
LONG_AGO = (NOW - timedelta(hours=30)).isoformat()


def found(parts: dict[str, Data]) -> list[tuple[str, str, str]]:
    return [(one["severity"], one["part"], one["text"]) for one in problems(parts, NOW)]


@pytest.mark.parametrize("parts", [quiet_parts, trial_parts])
def test_nothing_is_wrong_with_a_healthy_stack(parts: Callable[[], dict[str, Data]]) -> None:
    assert found(parts()) == []


def _change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(parts: dict[str, Any]) -> None:
        *folders, last = path.split("/")
        place: Any = parts
        for name in folders:
            place = place[int(name) if name.isdecimal() else name]
        place[last] = value

    return apply


@pytest.mark.parametrize(
    ("path", "value", "severity", "part", "says"),
    [
        ("release/production", None, "error", "release", "Nothing is in production"),
        ("release/state", "stopped", "error", "release", "CO3 gets no visitors: stopped by evaluation"),
        ("release/hold", {"version": "CO3", "by": "person:ann", "at": "", "reason": "a holiday"}, "note", "release",
         "CO3 is held by person:ann: a holiday"),
        ("release/last_success/evaluation", {"at": LONG_AGO}, "error", "runs", "ended 30 hours ago"),
        ("release/last_success/drift", {"at": LONG_AGO}, "warning", "runs", "The last drift that succeeded"),
        ("services/replicas/0/problem", "does not answer: refused", "error", "services", "infer-prod does not answer"),
        ("services/replicas/0/database", "down", "error", "services", "infer-prod does not reach PostgreSQL"),
        ("services/replicas/0/spool_records", 5000, "warning", "services", "5,000 records wait in the spool"),
        ("services/replicas/1/version", "CO2", "warning", "services", "infer-cand serves CO2, and CO3 is candidate"),
        ("services/router", {"problem": "does not answer"}, "error", "services", "The router does not answer"),
        ("services/router/share", 0.0, "error", "services", "gives the candidate 0 %, and the control record 20 %"),
        ("services/disk_free_bytes", 2**30, "warning", "services", "The disk has 1.0 GiB left"),
        ("pipeline/airflow/scheduler", False, "error", "pipeline", "Airflow is not healthy: scheduler"),
        ("pipeline/airflow", {"problem": "Airflow is away"}, "error", "pipeline", "Airflow is away"),
        ("pipeline/mlflow", {"problem": "MLflow is away"}, "warning", "pipeline", "MLflow is away"),
        ("experiment/look/outcome", "invalid", "error", "experiment", "BO2-CO3 is invalid"),
        ("experiment/look/problem", "the evidence cannot be read", "warning", "experiment", "cannot be read"),
        ("runs/dags/evaluate_ab_dag/paused", True, "warning", "runs", "neither decided nor rolled back"),
        ("runs/dags/evaluate_ab_dag/runs/0/state", "failed", "error", "runs", "run of evaluate_ab_dag has failed: con"),
        ("drift_alerts/production/alert",
         {"ongoing": True, "began_at": LONG_AGO, "features": ["area"], "sentence": "Homes are larger."},
         "warning", "drift", "Production drifts in area: Homes are larger."),
    ],
)  # fmt: skip
def test_each_fault_is_named(path: str, value: Any, severity: str, part: str, says: str) -> None:
    parts = trial_parts()
    _change(path, value)(parts)
    first = found(parts)[0]
    assert (first[:2], says in first[2]) == ((severity, part), True)
    assert len(found(parts)) == (2 if path == "release/production" else 1)  # a replica serves what is not in production


def test_errors_come_first() -> None:
    parts = trial_parts()
    for path, value in (("runs/dags/evaluate_ab_dag/paused", True), ("release/production", None)):
        _change(path, value)(parts)
    assert [one[0] for one in found(parts)] == sorted((one[0] for one in found(parts)), key=["error", "warning"].index)


def test_a_candidate_that_nobody_visits_may_be_away() -> None:
    parts = quiet_parts()
    parts["services"]["replicas"][1]["problem"] = "does not answer"
    assert [one[0] for one in found(parts)] == ["warning"]


def test_a_router_has_a_minute_to_apply_a_change() -> None:
    parts = trial_parts()
    parts["services"]["router"]["share"], parts["release"]["changed_at"] = 0.0, NOW.isoformat()
    assert found(parts) == []


def test_of_an_experiment_that_has_ended_nothing_is_wrong() -> None:
    parts = quiet_parts()
    parts["experiment"]["look"] = {**trial_parts()["experiment"]["look"], "outcome": "invalid"}
    assert found(parts) == []
