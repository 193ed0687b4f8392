"""The commands of the original project do what their names say, or name the command that does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from homeprices.settings import load_settings

ROOT = Path(__file__).parents[2]
PIP = Path(sys.executable).with_name("pip")


def run(*command: str | Path, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": "", **variables}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.skipif(not PIP.exists(), reason="this environment has no pip")
def test_the_requirements_of_the_tests_are_those_that_are_installed() -> None:
    done = run(PIP, "install", "--dry-run", "--no-index", "--no-deps", "-r", "tests/requirements-test.txt")
    assert done.returncode == 0, done.stderr
    assert "Requirement already satisfied: pytest==" in done.stdout and "Would install" not in done.stdout


def test_run_tests_runs_a_suite_and_sums_it_up(tmp_path: Path) -> None:
    measured = str(tmp_path / "coverage")
    done = run(
        sys.executable, "tests/run_tests.py", "--only", "infrastructure", "-n", "0", "-k", "test_revision",
        "-p", "no:cacheprovider", COVERAGE_FILE=measured,
    )  # fmt: skip
    assert "passed" in done.stdout and "failed" not in done.stdout, done.stdout + done.stderr


def test_run_tests_of_a_python_without_the_packages_says_what_to_run() -> None:
    done = run(sys.executable, "-I", "-S", "tests/run_tests.py")
    [line] = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == ""
    assert line.endswith(
        "has no coverage, pytest, xdist; run `make install`, then `.venv/bin/python tests/run_tests.py`"
    )


def test_pytest_finds_the_unit_tests_without_an_installed_project(tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "pytest", "tests/unit/", "-v", "-k", "test_foreign_text", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert "tests/unit/test_foreign_text.py::" in done.stdout and "PASSED" in done.stdout


WITHOUT_PYDANTIC = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "pydantic":
            raise ModuleNotFoundError("No module named 'pydantic'", name="pydantic")
sys.meta_path.insert(0, Absent())
"""


def test_a_locust_of_a_python_without_the_project_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_PYDANTIC)
    done = run(
        sys.executable, "-m", "locust", "-f", "locustfile.py", "--host=http://127.0.0.1:9", "--headless", "-t", "1s",
        folder=ROOT / "tests" / "load", PYTHONPATH=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "has no pydantic; run `make install`, then `.venv/bin/locust` of the project's folder"
    )


def test_a_copy_of_the_example_and_an_edit_set_what_is_edited(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    before = load_settings({}, (tmp_path / ".env",))
    with (tmp_path / ".env").open("a") as file:
        file.write(
            "AWS_ACCESS_KEY_ID=your_access_key\nMLFLOW_S3_BUCKET=your-mlops-bucket\nMODEL_PREFIX=candidate_model\n"
        )
    edited = load_settings({}, (tmp_path / ".env",))
    assert (before.bucket, before.variant) == (load_settings({}, ()).bucket, "production")
    assert (edited.bucket, edited.variant) == ("your-mlops-bucket", "candidate")
