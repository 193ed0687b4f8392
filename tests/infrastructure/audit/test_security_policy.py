"""SECURITY.md states what the code does."""

from __future__ import annotations

import json
import re
import tomllib

from audit import __main__ as command
from audit.exceptions import LONGEST
from audit.references import ROOT

PAGE = (ROOT / "SECURITY.md").read_text()


def test_the_supported_version_is_the_projects() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.findall(r"^\| (\d\S*), ", PAGE, re.M) == [".".join(version.split(".")[:2])]


def test_every_check_is_explained_and_no_other() -> None:
    table = PAGE.split("| check | finds | needs |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `([\w-]+)`", table, re.M) == list(command.CHECKS)


def test_the_periods_are_those_of_the_code() -> None:
    age = json.loads((ROOT / ".github/renovate.json").read_text())["minimumReleaseAge"]
    assert f"at most {LONGEST.days} days" in PAGE
    assert f"at least {age} old" in PAGE


def test_every_promise_names_what_holds_it() -> None:
    rows = PAGE.split("| promise | held by |")[1].split("\n\n")[0].splitlines()[2:]
    assert len(rows) > 5
    for row in rows:
        assert all((ROOT / name).is_file() for name in re.findall(r"`([\w./]+)`", row.split("|")[2])), row
        assert "`" in row.split("|")[2]
