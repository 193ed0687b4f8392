"""The executor's workers have the libraries of tasks, so that no task imports them again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import clean_environment

ROOT = Path(__file__).parents[3]
SCRIPT = """
import gc, importlib, json, os, pathlib, sys
sys.path.insert(0, "dags")
from compose.airflow_executor import LIBRARIES, WarmLocalExecutor

def installed():
    return {name.split(".")[0] for name in sys.modules} - {*sys.stdlib_module_names}

class Watched(WarmLocalExecutor):
    def _spawn_worker(self):
        found.update(spawned=found["spawned"] + 1, missing=sorted({*LIBRARIES} - {*sys.modules}))

found = {"spawned": 0, "missing": []}
Watched(parallelism=3).start()
had = installed()
found["watched_by_the_collector"] = len(gc.get_objects())
found["project"] = sorted(name for name in sys.modules if name.split(".")[0] in {"homeprices", "dags"})
found["onnxruntime"] = "onnxruntime" in sys.modules
for path in (*pathlib.Path("dags").glob("*_dag.py"), *pathlib.Path("homeprices/workflows").rglob("*.py"),
             *pathlib.Path("homeprices/training").glob("[a-z]*.py"), pathlib.Path("homeprices/data/contract.py")):
    importlib.import_module(path.stem if path.parent.name == "dags" else ".".join(path.with_suffix("").parts))
found["of_dags"] = sorted(path.stem for path in pathlib.Path("dags").glob("*.py"))
found["imported_by_tasks"] = sorted(name for name in installed() - had if not name.startswith("_"))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process has imported when the executor forks its workers, and what tasks import after that."""
    home = str(tmp_path_factory.mktemp("airflow"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**clean_environment(), "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
             "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_every_worker_is_forked_with_the_libraries(found: dict[str, Any]) -> None:
    assert (found["spawned"], found["missing"]) == (3, [])


def test_the_collector_leaves_what_scheduler_and_workers_share(found: dict[str, Any]) -> None:
    assert found["watched_by_the_collector"] < 1000


def test_tasks_import_the_code_of_the_project_themselves(found: dict[str, Any]) -> None:
    assert found["project"] == []


def test_the_scheduler_does_not_import_what_starts_a_thread(found: dict[str, Any]) -> None:
    assert not found["onnxruntime"]


def test_tasks_import_no_other_installed_package(found: dict[str, Any]) -> None:
    own = {"homeprices", *found["of_dags"]}
    light = {"dotenv", "onnxruntime"}
    assert {*found["imported_by_tasks"]} - own <= light


@pytest.mark.parametrize("file", ["compose/airflow.sh", "local/services/pipeline_servers.py"])
def test_both_stacks_use_the_executor(file: str) -> None:
    assert "compose.airflow_executor.WarmLocalExecutor" in (ROOT / file).read_text()
