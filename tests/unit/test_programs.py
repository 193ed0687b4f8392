"""What a run says of the tests that it could not run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import programs

ROOT = Path(__file__).parents[2]
SKIPPING = """
import pytest
from tests.support.programs import Needed

MISSING, THERE = Needed("rolling-pin", "make rolling-pin", lambda: False), Needed("oven", "make oven", lambda: True)

@MISSING.mark
def test_one(): ...

def test_two():
    MISSING.require()

@THERE.mark
def test_three():
    THERE.require()

def test_four():
    pytest.skip("a small disk can only be mounted by root")
"""


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_kitchen.py").write_text(SKIPPING)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", "pyproject.toml", *options]
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}  # CI sets --no-skips there
    return subprocess.run(
        [*command, str(folder)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_summary_lists_what_a_missing_program_kept_from_running_and_how_to_bring_it(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = done.stdout.partition("not run because something is missing")[2]
    assert "2 x rolling-pin: make rolling-pin\n" in summary
    assert "oven" not in summary
    assert "1 passed, 3 skipped" in summary


def test_where_nothing_may_be_skipped_the_same_run_fails(tmp_path: Path) -> None:
    done = run(tmp_path, "--no-skips")
    assert done.returncode == 1
    assert "rolling-pin is missing; to bring it: make rolling-pin" in done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("needed", [n for n in vars(programs).values() if isinstance(n, programs.Needed)])
def test_a_program_is_asked_for_in_words_that_the_summary_understands(needed: programs.Needed) -> None:
    match = programs.SKIPPED.fullmatch(f"Skipped: {needed.reason}")
    assert match is not None and match.groups() == (needed.name, needed.command)


def test_a_browser_is_the_one_named_else_one_on_the_path_else_one_that_playwright_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    assert programs.find_chromium() is None
    downloaded = tmp_path / "chromium-1234" / "chrome-linux64" / "chrome"
    downloaded.parent.mkdir(parents=True)
    downloaded.touch()
    assert programs.find_chromium() == str(downloaded)
    installed = tmp_path / "chromium"
    installed.touch(mode=0o755)
    assert programs.find_chromium() == str(installed)
    monkeypatch.setenv("CHROMIUM", "/opt/browser")
    assert programs.find_chromium() == "/opt/browser"
