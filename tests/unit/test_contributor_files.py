"""What editors, dev containers and GitHub read for contributors agrees with the tree and with CI."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import tomllib
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import yaml

from tests.support.programs import GIT

ROOT = Path(__file__).parents[2]

pytestmark = GIT.mark


@cache
def project_files() -> list[str]:
    """Return the names of the files under version control."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]


@cache
def texts() -> dict[str, bytes]:
    """Return the text files of the project that are not empty."""
    named = [name for name in project_files() if not name.endswith((".onnx", ".png", ".skops", ".xz"))]
    return {name: text for name in named if (text := (ROOT / name).read_bytes())}


def braces(pattern: str) -> list[str]:
    """Return the patterns without braces that one with `{a,b}` stands for."""
    if found := re.search(r"\{([^{}]*)\}", pattern):
        options = found[1].split(",")
        return [one for option in options for one in braces(pattern[: found.start()] + option + pattern[found.end() :])]
    return [pattern]


def style(name: str, editorconfig: ConfigParser) -> dict[str, str]:
    """Return the settings that hold for a file; the last section that matches decides."""
    found: dict[str, str] = {}
    for section in editorconfig.sections():
        subject = name if "/" in section else name.rpartition("/")[2]
        if any(fnmatch.fnmatch(subject, pattern) for pattern in braces(section)):
            found |= editorconfig[section]
    return found


def test_every_file_is_written_as_the_editors_are_told() -> None:
    editorconfig = ConfigParser(interpolation=None)
    editorconfig.read_string("[preamble]\n" + (ROOT / ".editorconfig").read_text())
    wrong: list[str] = []
    for name, text in texts().items():
        told = style(name, editorconfig)
        text.decode(told["charset"])
        if b"\r\n" in text:
            wrong.append(f"{name}: CRLF")
        if told["insert_final_newline"] == "true" and not text.endswith(b"\n"):
            wrong.append(f"{name}: no newline at the end")
        if re.search(rb"[ \t]$", text, re.M):
            wrong.append(f"{name}: a blank at the end of a line")
        if b"\n\t" in text and told["indent_style"] == "space":
            wrong.append(f"{name}: indented with a tab")
    assert wrong == []
    assert len(texts()) > 900
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert style("any.py", editorconfig)["max_line_length"] == str(ruff["line-length"])


def test_the_dev_container_has_the_programs_of_ci_and_installs_as_everybody_does() -> None:
    dockerfile = (ROOT / ".devcontainer/Dockerfile").read_text()
    [packages] = re.findall(r"--no-install-recommends \\\n +(.+) \\", dockerfile)
    missing = set(re.findall(r"missing\+=\(([\w-]+)", (ROOT / ".ci/run").read_text())) - {"python3"}
    assert len(missing) > 4
    assert missing <= set(packages.split())
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container["postCreateCommand"] == "make install"
    assert f" {container['remoteUser']}\n" in dockerfile
    for port in container["forwardPorts"]:
        assert f"127.0.0.1:{port}" in (ROOT / "README.md").read_text()


def test_every_pattern_of_the_code_owners_matches_a_file() -> None:
    lines = (ROOT / ".github/CODEOWNERS").read_text().splitlines()
    patterns = [line.split()[0] for line in lines if line and not line.startswith("#")]
    assert len(patterns) > 10
    for pattern in patterns:
        assert any(f"/{name}".startswith(pattern.replace("*", "/")) for name in project_files()), pattern


def test_an_issue_form_names_files_and_commands_that_exist() -> None:
    forms = [ROOT / ".github/pull_request_template.md", *(ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")]
    assert len(forms) == 3
    makefiles = "\n".join((ROOT / name).read_text() for name in project_files() if name.endswith((".mk", "Makefile")))
    for form in forms:
        text = form.read_text()
        named = re.findall(r"\b(?:documentations/[\w/.-]*\w|[A-Z]+\.md)\b", text)
        assert [name for name in named if not (ROOT / name).exists()] == []
        assert [name for name in re.findall(r"\bmake ([a-z-]+)", text) if f"\n{name}:" not in makefiles] == []
        if form.suffix == ".yml":
            body = yaml.safe_load(text)["body"]
            assert [field for field in body if field["type"] != "markdown" and not field.get("id")] == []
