"""Mutants are made one at a time, and a mutant that no test notices is told apart from one that fails a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import mutants
from tests.support.mutants import KILLED, SURVIVED, Mutant, mutants_of, page

ROOT = Path(__file__).parents[4]
SOURCE = '''
"""A text."""
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    LIMIT = 1


@decorated(1)
def decide(a: Literal[1], b: int = 2) -> Literal[3]:
    """Text."""
    if a < b and not done:
        raise ValueError("no")
    log.info("said", a + 1)
    store(a)
    return a - b
'''


def changes(source: str) -> list[str]:
    return [mutant.name for mutant in mutants_of(source, "module.py")]


def test_each_decision_of_a_module_is_changed_once_and_nothing_that_does_not_run() -> None:
    assert changes(SOURCE) == [
        "def decide(a: Literal[1], b: int = 2) -> Literal[3]: | 2 to 3",
        "if a < b and not done: | And to Or",
        "if a < b and not done: | Lt to LtE",
        "if a < b and not done: | not x to x",
        "raise ValueError(\"no\") | no raise ValueError('no')",
        'log.info("said", a + 1) | Add to Sub',
        'log.info("said", a + 1) | 1 to 2',
        "store(a) | no store(a)",
        "return a - b | return None",
        "return a - b | Sub to Add",
    ]


def test_a_mutant_runs_with_its_change_alone() -> None:
    values = []
    for mutant in mutants_of("found = 2 < 2, 1 + 1", "module.py"):
        scope: dict[str, object] = {}
        assert mutant.code is not None
        exec(mutant.code(), scope)
        values.append(scope["found"])
    assert sorted(values, key=repr) == sorted([(True, 2), (True, 2), (False, 2), (False, 0), (False, 3), (False, 3)])


def test_texts_are_not_taken_for_numbers() -> None:
    assert changes('found = "a" + b, "%s" % c, f"{d}" + e, True') == [
        'found = "a" + b, "%s" % c, f"{d}" + e, True | True to False'
    ]


SCRIPT = """
import sys
from pathlib import Path
from tests.support import mutants
mutants.ROOT = Path.cwd()
found = mutants.try_all("subject.py", ["test_subject.py"], lambda mutant: None, 2)
print(*(f"{mutant.change}={mutant.outcome}" for mutant in found), sep=";")
"""


def test_what_a_test_notices_is_killed_and_the_rest_survives(tmp_path: Path) -> None:
    (tmp_path / "subject.py").write_text("def whole(x):\n    while x > 1:\n        x -= 1\n    return x == 1\n")
    (tmp_path / "test_subject.py").write_text(
        "from subject import whole\ndef test_it():\n    assert whole(3) and not whole(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/bin:/usr/bin"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcomes = dict(one.rsplit("=", 1) for one in done.stdout.strip().split(";"))
    assert outcomes["Eq to NotEq"] == outcomes["return None"] == KILLED
    assert outcomes["Gt to GtE"] == KILLED


def test_tests_that_fail_without_a_mutant_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "subject.py").write_text("")
    (tmp_path / "test_subject.py").write_text("def test_it():\n    assert False\n")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/bin:/usr/bin"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "fail without any mutant" in done.stderr


def test_the_page_counts_and_lists_the_survivors_with_their_reasons() -> None:
    found = [Mutant(1, "a | b", "Lt to LtE", outcome=SURVIVED), Mutant(2, "c", "Add to Sub", outcome=KILLED)]
    made = page({"m.py": found}, {"m.py": {"a | b | Lt to LtE": "they are never equal"}})
    assert "| `m.py` | 2 | 1 | 1 |" in made
    assert "| `a \\| b` | Lt to LtE | they are never equal |" in made


def test_every_module_and_test_file_exists_and_every_explanation_is_of_a_mutant() -> None:
    for module, tests in mutants.MODULES.items():
        assert (ROOT / module).is_file() and all((ROOT / "tests/unit" / test).is_file() for test in tests)
    for module, explained in json.loads(mutants.EXPLAINED.read_text()).items():
        source = (ROOT / module).read_text()
        assert explained.keys() <= {mutant.name for mutant in mutants_of(source, module)}, module


def test_an_unknown_module_is_named() -> None:
    with pytest.raises(SystemExit, match=r"other\.py: the modules are"):
        mutants.main(["other.py"])
