"""What is kept between runs is made once, whole, and of the code of today."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import kept

ROOT = Path(__file__).parents[4]

ASK = """
import pathlib, sys, time
from tests.support import kept
kept.PLACE = pathlib.Path(sys.argv[1])
def make(folder):
    (pathlib.Path(sys.argv[1]) / f"made by {sys.argv[2]}").touch()
    (folder / "one").write_text(sys.argv[2])
    time.sleep(0.2)
    (folder / "two").write_text(sys.argv[2])
folder = kept.kept("key", make)
assert (folder / "one").read_text() == (folder / "two").read_text()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where things are kept."""
    monkeypatch.setattr(kept, "PLACE", tmp_path / "place")
    return tmp_path / "place"


def test_processes_that_ask_at_a_time_make_it_once(place: Path) -> None:
    place.mkdir()
    asking = [subprocess.Popen([sys.executable, "-c", ASK, place, str(n)], cwd=ROOT) for n in range(3)]
    assert [process.wait(60) for process in asking] == [0, 0, 0]
    assert len([*place.glob("made by *")]) == 1


def test_what_fails_keeps_nothing_and_is_tried_again(place: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        kept.kept("key", fails)
    assert [*place.rglob("half")] == []
    folder = kept.kept("key", lambda folder: (folder / "whole").touch())
    assert [path.name for path in folder.iterdir()] == ["whole"]


def test_other_code_has_a_place_of_its_own_and_what_no_run_had_for_a_week_goes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = kept.kept("key", lambda folder: (folder / "old").touch())
    monkeypatch.setattr(kept, "digest_of_code", lambda: "other")
    new = kept.kept("key", lambda folder: (folder / "new").touch())
    assert [path.name for path in new.iterdir()] == ["new"] and old.exists()
    long_ago = time.time() - 8 * 86_400
    os.utime(old.parent, (long_ago, long_ago))
    monkeypatch.setattr(kept, "digest_of_code", lambda: "newest")
    kept.kept("key", lambda folder: None)
    assert new.exists() and not old.parent.exists()


def test_the_digest_is_of_every_module_and_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    found = set()
    for name in ("homeprices/model/a.py", "homeprices/training/b.jinja", "requirements.lock", "README.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        found.add(kept.digest_of_code.__wrapped__())
    assert len(found) == 3, "the last one is no code"
