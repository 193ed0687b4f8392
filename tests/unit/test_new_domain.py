"""`make new-domain`: a copy with an example applied, as a whole or not at all; and the size of the examples."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from local import new_domain
from local.new_domain import Refused
from tests.support.programs import GIT

ROOT = Path(__file__).parents[2]
MOST_FILES, MOST_LINES = 12, 600
README = "# A shop\n\n```text\nhomes/old.py\nstreets/\nstreets*.md\n```\n"

pytestmark = GIT.mark


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with an example named shop."""
    root = tmp_path / "project"
    files = {
        "words.py": "home", "kept.sh": "run", "homes/old.py": "old", "streets/a.py": "", "streets/b/c.py": "",
        "streets1.md": "", "not/streets.md": "", ".gitignore": "built\n", "built": "left behind",
        "examples/shop/README.md": README, "examples/shop/words.py": "shop", "examples/shop/shelves/new.py": "new",
        "examples/other/README.md": "# Other\n\n```text\n```\n",
    }  # fmt: skip
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "kept.sh").chmod(0o755)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    return root


def test_a_copy_has_the_files_of_the_example_and_not_those_that_it_leaves_out(project: Path, tmp_path: Path) -> None:
    done = new_domain.make("shop", tmp_path / "shop", project)
    made = {path.relative_to(done.folder).as_posix() for path in done.folder.rglob("*") if path.is_file()}
    assert made == {"words.py", "kept.sh", "shelves/new.py", "not/streets.md", ".gitignore"}
    assert ((done.folder / "words.py").read_text(), (done.folder / "kept.sh").stat().st_mode & 0o777) == ("shop", 0o755)
    assert (done.replaced, done.added) == (("words.py",), ("shelves/new.py",))
    assert done.deleted == ("homes/old.py", "streets/a.py", "streets/b/c.py", "streets1.md")
    assert (project / "words.py").read_text() == "home"


def test_an_unknown_name_lists_the_examples(project: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no example 'shops'; available: other, shop"):
        new_domain.make("shops", tmp_path / "shop", project)


def test_an_existing_folder_is_refused_and_untouched(project: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    with pytest.raises(Refused, match=r"exists already; name another folder with TO="):
        new_domain.make("shop", tmp_path / "shop", project)
    assert list((tmp_path / "shop").iterdir()) == []


@pytest.mark.parametrize("failing", ["homes/gone.py", "words.py\nhomes/gone*"])
def test_a_list_that_names_what_is_gone_is_refused_and_leaves_nothing(
    project: Path, tmp_path: Path, failing: str
) -> None:
    (project / "examples/shop/README.md").write_text(f"# A shop\n\n```text\n{failing}\n```\n")
    with pytest.raises(Refused, match=r"homes/gone.*, which is not in the project any more"):
        new_domain.make("shop", tmp_path / "shop", project)
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def test_a_copy_that_fails_half_way_leaves_nothing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        if source.name == "new.py":
            raise OSError("No space left on device")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()

    monkeypatch.setattr(new_domain, "_copy", full)
    with pytest.raises(OSError, match="No space left"):
        new_domain.make("shop", tmp_path / "shop", project)
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def test_a_folder_without_git_is_refused(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nothing"))
    with pytest.raises(Refused, match="git does not list them"):
        new_domain.make("shop", tmp_path / "shop", project)


def test_the_command_says_what_it_replaced_and_what_to_run_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_domain.main(["diamonds", str(tmp_path / "gems")]) == 0
    said = capsys.readouterr().out
    assert "replaced:\n  homeprices/data/listing.py\n" in said
    assert f"next:\n  cd {tmp_path}/gems\n" in said and "make inputs dashboards" in said
    assert new_domain.main(["rubies", str(tmp_path / "rubies")]) == 2
    assert capsys.readouterr().err == "new-domain: there is no example 'rubies'; available: diamonds\n"


@pytest.mark.parametrize("name", new_domain.names())
def test_an_example_stays_small(name: str) -> None:
    example = new_domain.read(name)
    assert (len(example.files) + 1 <= MOST_FILES, example.lines() <= MOST_LINES) == (True, True), example.lines()


def test_the_example_of_diamonds_says_how_far_its_files_differ() -> None:
    example = new_domain.read("diamonds")
    rows = re.findall(
        r"^\| `([^`]+)` \|\s*(\d*)\s*\| (\d+) \| (\S+(?: \S+)?) \|$", (example.folder / "README.md").read_text(), re.M
    )
    assert {row[0] for row in rows} == {*example.files}
    for name, before, after, differences in rows:
        ours, theirs = ROOT / name, example.folder / name
        assert int(after) == len(theirs.read_text().splitlines()), name
        if differences == "new":
            assert not ours.exists(), name
            continue
        compare = ["git", "diff", "--no-index", "--numstat", str(ours), str(theirs)]
        added, removed, _ = subprocess.run(compare, capture_output=True, text=True, check=False).stdout.split("\t")
        lines = len(ours.read_text().splitlines())
        assert (int(before), differences) == (lines, f"+{added} −{removed}"), name
