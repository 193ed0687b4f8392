"""The commit of an image, read from the files of a clone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.programs import GIT

SCRIPT = Path(__file__).parents[3] / "compose" / "revision.sh"
AUTHOR = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
          "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}  # fmt: skip


def said(folder: Path, **environ: str) -> str:
    command = ["sh", str(SCRIPT), str(folder)]
    known = {"PATH": os.environ["PATH"], **environ}
    return subprocess.run(command, env=known, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def git(clone: Path, *words: str) -> str:
    GIT.require()
    command = ["git", "-C", str(clone), *words]
    known = {"PATH": os.environ["PATH"], "HOME": str(clone), **AUTHOR}
    return subprocess.run(command, env=known, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A git repository with a few commits."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "feature/one")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "first")
    return tmp_path


def test_the_commit_of_a_branch_is_read_packed_or_not(clone: Path) -> None:
    commit = git(clone, "rev-parse", "HEAD")
    assert said(clone / ".git") == commit
    git(clone, "pack-refs", "--all")
    assert not (clone / ".git/refs/heads/feature/one").exists()
    assert said(clone / ".git") == commit


def test_the_commit_of_no_branch_is_read(clone: Path) -> None:
    git(clone, "checkout", "--quiet", "--detach")
    assert said(clone / ".git") == git(clone, "rev-parse", "HEAD")


def test_without_a_clone_or_a_commit_it_is_unknown(tmp_path: Path) -> None:
    assert said(tmp_path) == "unknown"
    git(tmp_path, "init", "--quiet")
    assert said(tmp_path / ".git") == "unknown"


def test_the_revision_in_the_environment_takes_precedence(clone: Path) -> None:
    assert said(clone / ".git", HOMEPRICES_GIT_REVISION="abc-dirty") == "abc-dirty"
