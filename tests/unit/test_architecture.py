"""The arrows of documentations/architecture.md, read from the imports themselves."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ORCHESTRATION = {"airflow", "flask"}
HEAVY = {"airflow", "mlflow", "sklearn", "pandas", "scipy", "pyarrow", "skl2onnx", "matplotlib", "pandera"}
EXPERIMENT = {"bake", "retraining", "decision", "composite", "always_valid", "comparison", "sequential", "simulation",
              "peers", "simulated_looks", "simulated_prices", "simulated_visitors"}  # fmt: skip
DRIFT = {p.stem for p in (ROOT / "homeprices/drift").rglob("*.py")} - {
    "watch",
    "observation",
    "live_comparison",
}  # they read the log
PURE = {"data": {"cleaning", "holdout", "schema", "synthetic"}, "experiment": EXPERIMENT, "drift": DRIFT}
IMPURE_MODULES = {"sqlalchemy", "boto3", "botocore", "httpx", "requests", "mlflow", "socket", "psycopg2",
                  "homeprices.adapters.object_store", "homeprices.adapters.database", "homeprices.settings",
                  "homeprices.adapters.mlflow_client",
                  "homeprices.adapters.notifications"}  # fmt: skip


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", sources("homeprices"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_library_imports_neither_airflow_nor_flask_nor_an_entry_point(path: Path) -> None:
    assert not tops(path) & (ORCHESTRATION | {"dags", "inference", "router", "local", "iac", "tests"})


@pytest.mark.parametrize("package", ["settings.py", "errors.py"])
def test_settings_and_errors_import_nothing_else_of_the_project(package: str) -> None:
    ours = {name for name in imports(ROOT / "homeprices" / package) if name.startswith("homeprices")}
    assert all(name.startswith("homeprices.errors") for name in ours)


def test_scikit_learn_lives_in_model_and_training_and_nowhere_else() -> None:
    learning = {"model", "training"}
    elsewhere = [p for p in sources("homeprices") if not learning & {*p.parts} and tops(p) & {"sklearn", "skl2onnx"}]
    assert elsewhere == []


@pytest.mark.parametrize("package", sorted(PURE))
def test_pure_packages_touch_neither_clock_nor_network(package: str) -> None:
    chosen = PURE[package]
    paths = [p for p in sources(f"homeprices/{package}") if chosen is None or p.stem in chosen]
    for path in paths:
        assert not {n for n in imports(path) if n in IMPURE_MODULES or n.split(".")[0] in IMPURE_MODULES}, path
        assert not re.search(r"(datetime|date|time)\.(now|utcnow|today|time|monotonic)\(", path.read_text()), path


@pytest.mark.parametrize("entry", ["inference.backend.inference_api", "router.agent", "homeprices.pricing.predictor"])
def test_serving_and_routing_load_nothing_heavy(entry: str) -> None:
    script = f"import {entry}, sys; print(*sorted({{m.split('.')[0] for m in sys.modules}} & {HEAVY!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_dags_import_at_their_top_nothing_heavier_than_the_airflow_sdk() -> None:
    for path in sources("dags"):
        top_level = {
            (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert {name.split(".")[0] for name in top_level} <= {
            "__future__",
            "airflow",
            "dag_defaults",
            "datetime",
            "typing",
        }, path


def test_files_can_be_read_in_one_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for folder in ("homeprices", "inference", "router", "local", "dags")
        for path in sources(folder)
        if (count := len(path.read_text().splitlines())) > 300
    }
    assert long == {}
