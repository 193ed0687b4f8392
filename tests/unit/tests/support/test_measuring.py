"""While measurement is off, neither this process nor its children are measured; switched on again, both are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import coverage

ROOT = Path(__file__).parents[4]
MEASURED = """
import subprocess, sys
from tests.support.measuring import switch

def run(name):
    subprocess.run([sys.executable, f"{name}.py"], check=True)
    exec(compile(open(f"{name}.txt").read(), f"{name}.txt", "exec"))

run("before")
switch(on=False)
switch(on=False)
run("off")
switch(on=True)
switch(on=True)
run("on")
"""


def test_what_runs_while_it_is_off_is_not_measured(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(MEASURED)
    (tmp_path / "settings.ini").write_text("[run]\nparallel = true\npatch = subprocess\nsource_dirs = .\n")
    for name in ("before", "off", "on"):
        (tmp_path / f"{name}.py").write_text("found = 1\n")
        (tmp_path / f"{name}.txt").write_text("found = 1\n")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-m", "coverage", "run", "--rcfile=settings.ini", "main.py"]
    subprocess.run(command, cwd=tmp_path, env={**inherited, "PYTHONPATH": str(ROOT)}, check=True, timeout=120)
    found = coverage.CoverageData(str(tmp_path / ".coverage"))
    for part in tmp_path.glob(".coverage.*"):
        other = coverage.CoverageData(str(part))
        other.read()
        found.update(other)
    assert {Path(file).name for file in found.measured_files() if found.lines(file)} == {
        "main.py", "before.py", "before.txt", "on.py", "on.txt",
    }  # fmt: skip
