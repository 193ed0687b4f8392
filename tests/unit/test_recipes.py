"""Each recipe applies to the tree as it is; `tests/integration/test_recipes.py` runs what they name."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from tests.support import recipes
from tests.support.programs import GIT
from tests.support.recipes import ROOT, DoesNotApply, Recipe

ALL = recipes.recipes()
AMBIGUOUS = """diff --git a/monitoring/grafana/panels.py b/monitoring/grafana/panels.py
--- a/monitoring/grafana/panels.py
+++ b/monitoring/grafana/panels.py
@@ -1,1 +1,2 @@

+a line that could go anywhere
"""


@pytest.mark.parametrize("recipe", ALL, ids=[recipe.name for recipe in ALL])
def test_a_recipe_applies_and_names_its_files_in_its_steps(recipe: Recipe) -> None:
    changed = recipe.changes(ROOT)
    assert changed
    prose = recipe.text.partition("```")[0]
    alone = [name for name in changed if not name.startswith(("tests/", "documentations/")) and name not in prose
             and f"{name.rpartition('/')[0]}/`" not in prose]  # fmt: skip
    assert alone == [], "a file that no step explains"
    assert recipe.commands


@GIT.mark
def test_git_applies_all_of_them_together() -> None:
    pages = [f"{recipes.FOLDER}/{recipe.name}.md" for recipe in ALL]
    done = subprocess.run(["git", "apply", "--check", *pages], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_list_has_the_sizes_of_all_recipes() -> None:
    text = (ROOT / recipes.LIST).read_text(encoding="utf-8")
    assert recipes.with_sizes(text) == text, "run `.venv/bin/python -m tests.support.recipes NAME`"
    assert recipes.recipe("panel").size() == (1, 9, 0)


def test_a_recipe_whose_code_has_moved_is_named_with_its_line_and_file() -> None:
    panel = recipes.recipe("panel")
    moved = replace(panel, text=panel.text.replace('lines("In flight"', 'lines("Under way"'))
    assert moved != panel
    with pytest.raises(DoesNotApply, match=r"panel\.md:\d+: monitoring/grafana/service_dashboard\.py.* is not in it"):
        moved.changes(ROOT)
    with pytest.raises(DoesNotApply, match="more than once"):
        replace(panel, text=panel.text.replace(panel.diff, AMBIGUOUS)).changes(ROOT)
