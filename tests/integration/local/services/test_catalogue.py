"""All services of a stack, as they are described before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.ports import LOOPBACK
from local.services.catalogue import services
from local.services.pipeline_servers import mlflow
from local.stack import Stack


@pytest.mark.parametrize("installed", [True, False])
def test_the_status_shows_every_port_that_the_stack_listens_on(tmp_path: Path, installed: bool) -> None:
    """Prometheus is one of them only where its program is installed; the exporter always is."""
    programs = tmp_path / "programs"
    programs.mkdir()
    if installed:
        (programs / "prometheus").touch(mode=0o755)
    stack = Stack.of({"STACK_DIR": str(tmp_path / "stack"), "PATH": str(programs)}, root=tmp_path)
    stack.make_folder()
    shown = {port for service in services(stack) for port in service.ports.values()}
    absent = set() if installed else {stack.ports["prometheus"]}
    assert shown == set(stack.listens_on.values()) - absent


@pytest.mark.parametrize(("chosen", "policy"), [({}, "demo"), ({"HOMEPRICES_POLICY": "sequential"}, "sequential")])
def test_the_local_stack_decides_by_the_demo_unless_told_otherwise(
    tmp_path: Path, chosen: dict[str, str], policy: str
) -> None:
    stack = Stack.of({"STACK_DIR": str(tmp_path / "stack"), **chosen}, root=tmp_path)
    stack.make_folder()
    assert (stack.policy, stack.environment()["HOMEPRICES_POLICY"]) == (policy, policy)


def test_mlflow_without_a_login_stays_on_loopback_whatever_the_environment_says(tmp_path: Path) -> None:
    given = {"MLFLOW_HOST": "0.0.0.0", "MLFLOW_SERVER_ALLOWED_HOSTS": "*"}
    tracking = mlflow(tmp_path, 5000, "postgresql://", "homeprices", given)
    assert tracking.env["MLFLOW_HOST"] == LOOPBACK and "--host" not in tracking.argv
    assert "*" not in tracking.env["MLFLOW_SERVER_ALLOWED_HOSTS"]


def test_a_folder_that_an_earlier_version_left_open_is_closed_to_others(tmp_path: Path) -> None:
    stack = Stack.of({"STACK_DIR": str(tmp_path / "stack")}, root=tmp_path)
    log, link, outside = stack.folder / "logs" / "old.log", stack.folder / "postgres", tmp_path / "outside"
    log.parent.mkdir(parents=True, mode=0o755)
    outside.mkdir(mode=0o755)
    (stack.folder / "program.sh").touch(mode=0o755)
    log.touch(mode=0o644)
    link.symlink_to(outside)
    stack.make_folder()
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (log, log.parent, stack.folder / "program.sh")}
    assert modes == {"old.log": "0o600", "logs": "0o700", "program.sh": "0o700"}
    assert outside.stat().st_mode & 0o777 == 0o755, "what a link points to is not the stack's"
    assert stack.folder.stat().st_mode & 0o066 == 0


def test_every_service_has_its_own_key_to_the_bucket(tmp_path: Path) -> None:
    stack = Stack.of({"STACK_DIR": str(tmp_path / "stack")}, root=tmp_path)
    stack.make_folder()
    held = {s.name: s.env["AWS_ACCESS_KEY_ID"] for s in services(stack) if "AWS_ACCESS_KEY_ID" in s.env and s.argv}
    assert held == {
        "infer-prod": "homeprices-inference",
        "infer-cand": "homeprices-inference",
        "router": "homeprices-router",
        "frontend": "homeprices-router",
        "mlflow": "homeprices-mlflow",
        "exporter": "homeprices-exporter",
        "airflow-scheduler": "homeprices-pipeline",  # it runs the tasks
        **dict.fromkeys(("airflow-api-server", "airflow-dag-processor", "airflow-triggerer"), "homeprices-airflow"),
    }
