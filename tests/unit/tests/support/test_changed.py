"""The map of what a change can reach holds every import that Python makes, and leaves out what has none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import changed
from tests.support.programs import GIT

ROOT = Path(__file__).parents[4]

pytestmark = GIT.mark

RECORD = """
import builtins, importlib, json, pathlib, sys

root, made, plain = pathlib.Path.cwd(), set(), builtins.__import__

def file_of(name):
    path = getattr(sys.modules.get(name), "__file__", None)
    return pathlib.Path(path).relative_to(root).as_posix() if path and pathlib.Path(path).is_relative_to(root) else None

def recording(name, globals=None, locals=None, fromlist=(), level=0):
    module = plain(name, globals, locals, fromlist, level)
    user = file_of((globals or {}).get("__name__"))
    for one in (name, *(f"{name}.{part}" for part in fromlist or ())):
        if user and (used := file_of(one)) and used != user:
            made.add((user, used))
    return module

builtins.__import__ = recording
for name in sys.argv[1:]:
    importlib.import_module(name)
builtins.__import__ = plain
print(json.dumps(sorted(pair for pair in made if not any(part in ".venv" for part in pair))))
"""


def modules(*folders: str) -> list[str]:
    files = [path.relative_to(ROOT) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [".".join(file.with_suffix("").parts) for file in files if file.stem not in {"__init__", "__main__", "env"}
            and "versions" not in file.parts and not file.stem.endswith(".conf")]  # fmt: skip


def test_every_import_that_python_makes_is_in_the_map() -> None:
    names = modules("homeprices", "inference/backend", "router", "local", "tests/support")
    done = subprocess.run([sys.executable, "-c", RECORD, *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = [pair for pair in json.loads(done.stdout) if not pair[1].startswith(".venv")]
    assert len(made) > 400
    known = changed.dependencies()
    assert [pair for pair in made if pair[1] not in known[pair[0]]] == []


@pytest.mark.parametrize(
    ("change", "among", "not_among"),
    [
        ("router/nginx.py", "tests/unit/router/test_nginx.py", "tests/unit/drift/test_rates.py"),
        ("router/nginx.py", "tests/e2e/test_loop.py", "tests/unit/pricing"),
        ("homeprices/drift/findings.py", "tests/integration/drift", "tests/unit/router/test_nginx.py"),
        ("monitoring/grafana/dashboards/business.json", "tests/unit/monitoring", "tests/unit/router/test_nginx.py"),
        ("README.md", "tests/unit/test_documentation.py", "tests/integration/predictions"),
        ("iac/__main__.py", "tests/infrastructure/iac", "tests/e2e/test_loop.py"),
        ("tests/support/trial.py", "tests/integration/test_evaluation.py", "tests/unit/router/test_nginx.py"),
        ("tests/unit/router/test_nginx.py", "tests/unit/router/test_nginx.py", "tests/integration/predictions"),
        ("local/services/postgres.py", "tests/integration/predictions/test_log.py", "tests/unit/drift/test_rates.py"),
    ],
)  # fmt: skip
def test_a_change_reaches_what_uses_it_and_nothing_else(change: str, among: str, not_among: str) -> None:
    found = changed.reached([change])
    assert any(file.startswith(among) for file in found), found
    assert not any(file.startswith(not_among) for file in found), found


@pytest.mark.parametrize("change", ["pyproject.toml", "requirements.lock", "homeprices/deleted.py", "unknown.toml"])
def test_a_change_of_what_nobody_is_known_to_read_reaches_everything(change: str) -> None:
    assert changed.reached([change]) == changed.test_files()


@pytest.mark.parametrize("change", ["LICENSE", "tests/chaos/test_soak.py", "tests/durations.json"])
def test_a_change_that_no_suite_reads_reaches_at_most_the_rules_of_layout(change: str) -> None:
    assert len(changed.reached([change])) <= 20


def test_every_program_reaches_a_test() -> None:
    programs = [file for file in changed.dependencies() if file.startswith(changed.RUN_BY_THE_STACK)]
    assert len(programs) > 150
    read = set().union(*changed.dependencies().values())
    assert [file for file in programs if "::" not in file and file not in read] == []
