"""Images are pinned by digest and actions by commit, in every file alike; `make pins` renews both."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from audit import references, renew
from audit.checks import pins
from audit.exceptions import Exceptions, read
from audit.references import ROOT
from tests.support.programs import GIT

DIGEST = f"sha256:{'a' * 64}"
COMMIT = "b" * 40
TODAY = dt.date(2030, 6, 1)


def project(folder: Path, **files: str) -> Path:
    """Write files named as the project's; `__` stands for a slash and a double one for a dot."""
    for name, text in files.items():
        path = folder / {"compose": "docker-compose.yaml", "workflow": ".github/workflows/ci.yml"}.get(name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_every_image_of_the_project_has_a_digest_or_a_reason_and_every_action_a_commit() -> None:
    assert pins(read(TODAY)).findings == ()
    assert len({str(image) for image in references.images()}) > 10
    assert len({str(action) for action in references.actions()}) > 8


def named_images(node: object) -> Iterator[str]:
    """The values of every key `image` and `..._IMAGE` of a YAML document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str) and (key == "image" or str(key).endswith("_IMAGE")):
                yield re.sub(r"\$\{\w+:-(.*)\}$", r"\1", value)
            yield from named_images(value)
    elif isinstance(node, list):
        for value in node:
            yield from named_images(value)


class Plain(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Reads Compose's own tags, such as `!reset`, as nothing."""


Plain.add_multi_constructor("!", lambda *_: None)


def test_no_image_in_a_yaml_file_is_missed() -> None:
    folders = [folder for folder in ROOT.iterdir() if not folder.name.startswith(".") or folder.name == ".github"]
    documents = [*ROOT.glob("*.y*ml"), *(file for folder in folders for file in folder.rglob("*.y*ml"))]
    known = {(image.file, f"{image}@{image.pin}" if image.pin else str(image)) for image in references.images()}
    found = {
        (file, image)
        for file in documents
        for document in yaml.load_all(file.read_text(), Loader=Plain)
        for image in named_images(document)
        if not image.startswith(references.OWN)
    }
    assert len(found) > 15
    assert found - known == set()


@pytest.mark.parametrize(("name", "count"), [("Dockerfile", 2), (".devcontainer/Dockerfile", 1)])
def test_a_dockerfile_starts_from_nothing_but_pinned_images_and_its_own_stages(name: str, count: int) -> None:
    text = (ROOT / name).read_text()
    pinned = {
        match["variable"] for match in re.finditer(r"^ARG (?P<variable>\w+)=\S+@sha256:[0-9a-f]{64}$", text, re.M)
    }
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.M))
    sources = set(re.findall(r"^FROM (\S+)", text, re.M)) | set(re.findall(r"--from=(\S+)", text))
    assert len(pinned) == count
    assert sources - stages == {f"${{{variable}}}" for variable in pinned}


@pytest.mark.parametrize(
    ("files", "finding"),
    [
        ({"Dockerfile": "ARG PYTHON_IMAGE=python:3.12\n"}, "Dockerfile: python:3.12 has no digest"),
        ({"compose": "    image: ${REDIS_IMAGE:-redis:8}\n"}, "docker-compose.yaml: redis:8 has no digest"),
        ({"compose": f"    image: redis:8@{DIGEST}0\n"}, "docker-compose.yaml: redis:8 has no digest"),
        (
            {"Dockerfile": f"ARG A_IMAGE=redis:8@{DIGEST}\n", "compose": f"  image: redis:8@{DIGEST[:-1]}c\n"},
            "redis:8 has different pins",
        ),
        ({"workflow": "  - uses: actions/checkout@v5\n"}, "ci.yml: actions/checkout is not pinned by commit"),
        ({"workflow": f"  - uses: actions/checkout@{COMMIT}\n"}, "ci.yml: actions/checkout is not pinned by commit"),
        ({"workflow": f"  - uses: actions/checkout@{COMMIT[1:]} # v5.0.0\n"}, "ci.yml: actions/checkout is not pinned"),
    ],
)
def test_a_reference_without_a_pin_is_found(tmp_path: Path, files: dict[str, str], finding: str) -> None:
    [found] = pins(Exceptions(), project(tmp_path, **files)).findings
    assert finding in found


def test_an_exception_covers_one_image_only_while_it_has_no_digest(tmp_path: Path) -> None:
    accepted = Exceptions(images={"redis:8": "why"})
    project(tmp_path, compose="  image: redis:8\n")
    assert pins(accepted, tmp_path).findings == ()
    project(tmp_path, compose=f"  image: redis:8@{DIGEST}\n")
    assert "remove its exception" in pins(accepted, tmp_path).findings[0]


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@e", "-c", "tag.gpgSign=false", "-c", "commit.gpgSign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that git takes for https://github.com/, with one action: v5.0.0, v5.9.0, v5.10.0 (annotated), v6.0.0."""
    GIT.require()
    action = tmp_path / "github" / "actions" / "checkout"
    action.mkdir(parents=True)
    git(action, "init", "--quiet")
    for tag in ("v5.0.0", "v5.9.0", "v5.10.0", "v6.0.0"):
        git(action, "commit", "--allow-empty", "--quiet", "-m", tag)
        git(action, "tag", *(["-a", "-m", tag] if tag == "v5.10.0" else []), tag)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{tmp_path / 'github'}/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/")
    return action


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `docker` whose registry has redis:8 and answers for no other image."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$4" = redis:8 ] && echo {DIGEST} || {{ echo "no such host" >&2; exit 1; }}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_renewal_takes_the_registrys_digest_and_the_newest_release_of_the_major_version(
    tmp_path: Path, github: Path, registry: None
) -> None:
    root = project(
        tmp_path / "project",
        Dockerfile="ARG REDIS_IMAGE=redis:8\nARG OTHER_IMAGE=quay.io/other/image:v1\n",
        compose=f"  image: ${{REDIS_IMAGE:-redis:8@sha256:{'c' * 64}}}\n  image: homeprices-router:local\n",
        workflow=f"  - uses: actions/checkout@v5\n  - uses: actions/checkout@{COMMIT} # v5.0.0\n  - uses: a/b@v1\n",
    )
    changed, failed = renew.renew(root)
    commit = git(github, "rev-parse", "v5.10.0^{commit}")
    line = f"  - uses: actions/checkout@{commit} # v5.10.0\n"
    assert (
        root / "Dockerfile"
    ).read_text() == f"ARG REDIS_IMAGE=redis:8@{DIGEST}\nARG OTHER_IMAGE=quay.io/other/image:v1\n"
    assert (root / "docker-compose.yaml").read_text() == (
        f"  image: ${{REDIS_IMAGE:-redis:8@{DIGEST}}}\n  image: homeprices-router:local\n"
    )
    assert (root / ".github/workflows/ci.yml").read_text() == f"{line}{line}  - uses: a/b@v1\n"
    assert len(changed) == 4
    assert [line.split(":")[0] for line in failed] == ["quay.io/other/image", "a/b@v1"]
    assert "no such host" in failed[0]


def test_an_answer_that_is_no_digest_is_not_taken(tmp_path: Path, registry: None) -> None:
    (tmp_path / "bin/docker").write_text("#!/bin/sh\necho latest\n")
    root = project(tmp_path / "project", Dockerfile="ARG REDIS_IMAGE=redis:8\n")
    assert renew.renew(root) == ([], ["redis:8: 'latest' is not a digest"])


def test_renovate_finds_every_pinned_image() -> None:
    [manager] = yaml.safe_load((ROOT / ".github/renovate.json").read_text())["customManagers"]
    [pattern] = [re.sub(r"\(\?<(?=[a-z])", "(?P<", text) for text in manager["matchStrings"]]
    wanted = [re.compile(text.strip("/")) for text in manager["managerFilePatterns"]]
    found = {
        (file, match["depName"], match["currentDigest"])
        for file in references.files()
        if any(pattern.search(file.relative_to(ROOT).as_posix()) for pattern in wanted)
        for match in re.finditer(pattern, file.read_text(), re.M)
    }
    assert found == {(image.file, image.name, image.pin) for image in references.images() if image.pin}
