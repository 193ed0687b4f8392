"""What `make up` says before it starts anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from local import commands
from local.stack import Stack


@pytest.mark.parametrize(
    ("version", "new"), [((3, 11, 7), False), ((3, 13, 9), False), ((3, 14, 0), True), ((3, 15, 0), True)]
)
def test_up_says_that_a_python_is_new_here(
    version: tuple[int, int, int],
    new: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack = Stack.of({"STACK_DIR": str(tmp_path / "stack")}, root=tmp_path)
    monkeypatch.setenv("DATASET", str(tmp_path / "absent.csv"))  # so that nothing starts
    with monkeypatch.context() as patched:
        patched.setattr(sys, "version_info", version)
        assert commands.up(stack) == 1
    said = capsys.readouterr().out
    assert (f"Python 3.{version[1]} is new here" in said) is new
    assert "there is no such file" in said
