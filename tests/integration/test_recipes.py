"""All recipes on one copy of the project: what they generate, what their commands say, format and layout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import recipes
from tests.support.programs import GIT, PROMTOOL
from tests.support.recipes import ROOT
from tests.support.servers import clean_environment

pytestmark = [GIT.mark, PROMTOOL.mark]

PYTEST = ".venv/bin/python -m pytest "
# A lock that looks newer than the environment would have the copy installed into it, in place of the project.
MAKE = "make --old-file=requirements.lock UV=true INSTALL_COMMAND=true "


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git knows, the environment of this process, and every recipe applied."""
    folder = tmp_path_factory.mktemp("recipes")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    for recipe in recipes.recipes():
        recipe.apply(folder)
    return folder


def run(copy: Path, command: str) -> None:
    """Run a command as a reader types it. Nothing of this run, such as its coverage, is handed on."""
    path = f"{copy}/.venv/bin:{os.environ['PATH']}"
    environment = {**clean_environment(), "PATH": path, "PYTHONPATH": str(copy), "MAKEFLAGS": ""}
    done = subprocess.run(
        ["bash", "-ec", command], cwd=copy, env=environment, capture_output=True, text=True, timeout=540, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}{done.stderr[-3000:]}"


def test_each_recipe_works_as_its_page_says(copy: Path) -> None:
    commands = recipes.commands()
    for command in commands:
        if not command.startswith(PYTEST):
            run(copy, re.sub(r"^make ", MAKE, command))
    # In one process, because each would load the same libraries. A failure names the test, which one recipe names.
    named = [
        word for command in commands if command.startswith(PYTEST) for word in command.removeprefix(PYTEST).split()
    ]
    assert len(named) > len(recipes.recipes())
    run(copy, f"{PYTEST} -q -n 0 -p no:cacheprovider {' '.join(dict.fromkeys(named))}")


def test_what_the_recipes_write_passes_the_linter(copy: Path) -> None:
    changed = {name for recipe in recipes.recipes() for name, _ in recipe.files() if name.endswith(".py")}
    run(copy, f".venv/bin/ruff check {' '.join(changed)} && .venv/bin/ruff format --check {' '.join(changed)}")
