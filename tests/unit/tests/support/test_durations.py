"""What a run measures of its tests and fixtures, and the tables and the order of files that come of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.durations import DOCUMENT, MARKS, renew

ROOT = Path(__file__).parents[4]
KITCHEN = """
import time
import pytest

@pytest.fixture(scope="module")
def oven():
    time.sleep(0.3)

def test_waits(oven):
    time.sleep(0.2)

def test_computes():
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
"""


def test_waiting_and_computing_are_told_apart_by_file_and_by_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_kitchen.py").write_text(KITCHEN)
    folder, document, order = tmp_path / "measured", tmp_path / "page.md", tmp_path / "order.json"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-c", "pyproject.toml", str(tmp_path)],
        cwd=ROOT, env={**os.environ, "DURATIONS": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    document.write_text("before\n<!-- durations -->\nold\n<!-- end of durations -->\nafter\n")
    renew(folder, document, order)
    text = document.read_text()
    assert text.startswith("before\n<!-- durations -->\nAll 2 tests:") and text.endswith(
        "<!-- end of durations -->\nafter\n"
    )
    assert "old" not in text
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    [kitchen, oven] = [row for row in rows if "kitchen" in row[0]]
    assert kitchen[1] == "2" and oven[1] == "1" and oven[0].startswith("`oven (")
    wall, processor, waits = map(float, kitchen[2:])
    assert wall >= 0.8 and processor >= 0.3 and waits == pytest.approx(wall - processor, abs=0.11)
    assert float(oven[2]) >= 0.3


def test_parts_of_a_parallel_run_are_added_and_only_slow_files_are_ordered(tmp_path: Path) -> None:
    for number, wall in enumerate((2.0, 3.0)):
        files = {"slow.py": {"wall": wall, "processor": 1.0, "count": 4}, f"{number}.py": {"wall": 0.1}}
        (tmp_path / f"{number}.json").write_text(json.dumps({"files": files, "fixtures": {}}))
    document, order = tmp_path / "page.md", tmp_path / "order"
    document.write_text("<!-- durations -->\n<!-- end of durations -->\n")
    renew(tmp_path, document, order)
    assert "| `slow.py` | 8 | 5.0 | 2.0 | 3.0 |" in document.read_text()
    assert json.loads(order.read_text()) == {"slow.py": 5.0}


def test_without_measurements_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no measurements"):
        renew(tmp_path, tmp_path / "page.md", tmp_path / "order")
    assert list(tmp_path.iterdir()) == []


def test_the_page_has_the_place_of_the_tables() -> None:
    assert MARKS.search(DOCUMENT.read_text())
