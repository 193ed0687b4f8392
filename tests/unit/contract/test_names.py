"""Names that people and their scripts type are those that were recorded; there may be more."""

import ast
import os
import subprocess
import sys

import pytest

import homeprices.names
from tests.contract import golden, names

DAGS = {
    "bangalore_home_prices_dag.py": "bangalore_home_prices_pipeline",
    "batch_scoring_dag.py": "batch_scoring_dag",
    "drift_monitoring_dag.py": "drift_monitoring_dag",
    "evaluate_ab_dag.py": "evaluate_ab_dag",
    "place_prices_dag.py": "place_prices_dag",
}
MAKE_VARIABLES = [
    ("split", "CANDIDATE=37", "share 37"),
    ("logs", "SERVICE=mlflow", "logs mlflow"),
    ("traffic", "USERS=41", "--users 41"),
    ("traffic", "TIME=43s", "--run-time 43s"),
    ("test-integration", "PARTS=tests/integration/router", "pytest tests/integration/router"),
]


def lost(name: str, now: set[str]) -> list[str]:
    """The recorded lines that are gone."""
    return sorted(set(golden.lines(name)) - now)


def test_every_environment_variable_has_its_name_and_default() -> None:
    assert lost("environment.txt", {*names.environment()}) == []


def test_every_make_target_is_there() -> None:
    assert lost("make.txt", {*names.make_targets()}) == []


def test_every_command_has_its_options_and_choices() -> None:
    assert lost("commands.txt", {*names.commands()}) == []


def test_the_router_reads_and_writes_the_same_headers_cookie_and_paths() -> None:
    assert lost("router_names.txt", names.router_names()) == []


@pytest.mark.parametrize(("target", "variable", "shown"), MAKE_VARIABLES)
def test_a_make_variable_reaches_its_command(target: str, variable: str, shown: str) -> None:
    done = subprocess.run(["make", "-n", target, variable], cwd=golden.ROOT, capture_output=True, text=True, check=True)
    assert shown in done.stdout


@pytest.mark.parametrize("file", DAGS)
def test_each_dag_keeps_its_file_and_id(file: str) -> None:
    tree = ast.parse((golden.ROOT / "dags" / file).read_text(encoding="utf-8"))
    ids = [
        getattr(homeprices.names, node.value.id) if isinstance(node.value, ast.Name) else ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "dag_id"
    ]
    assert ids == [DAGS[file]]


@pytest.mark.parametrize(
    "words", ["router.agent", "router.frontend", "monitoring.exporter", "local status", "homeprices.release status"]
)
def test_an_entry_point_starts_and_refuses_a_setting_that_it_does_not_know(words: str) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(golden.ROOT), "HOMEPRICES_NONSENSE": "1"}
    done = subprocess.run([sys.executable, "-m", *words.split()], cwd=golden.ROOT, env=environment, capture_output=True,
                          text=True, check=False, timeout=60)  # fmt: skip
    assert (done.returncode, "unknown setting HOMEPRICES_NONSENSE" in done.stderr) == (1, True), done.stderr
