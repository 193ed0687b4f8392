"""The pipeline: approval, permissions, and its scripts."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infrastructure.iac.graph import ROOT

WORKFLOW = ROOT / ".github/workflows/deploy.yml"
CHECKS = ROOT / ".github/workflows/ci.yml"
COMPOSE_FILES = ("docker-compose.yaml", "docker-compose.ab.yml", "monitoring/docker-compose.monitoring.yml")


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    """The jobs of the workflow."""
    return dict(yaml.safe_load(WORKFLOW.read_text())["jobs"])


def test_a_release_follows_every_test_and_a_persons_approval(jobs: dict[str, Any]) -> None:
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["preview"]["needs"] == ["ci"]
    tests = set(yaml.safe_load(CHECKS.read_text())["jobs"])
    assert tests == {"lint", "unit", "integration", "compose", "audit"}
    assert jobs["release"]["needs"] == ["preview"]
    assert jobs["release"]["environment"]["name"] == "production"
    assert jobs["release"]["concurrency"] == {"group": "release", "cancel-in-progress": False}
    assert "AWS_STACK" in jobs["preview"]["if"]


def test_no_key_lives_in_the_pipeline() -> None:
    text = WORKFLOW.read_text()
    assert not re.search(r"aws[-_](access|secret)", text, re.IGNORECASE)
    assert set(re.findall(r"secrets\.(\w+)", text)) == {"PULUMI_CONFIG_PASSPHRASE"}


def test_every_script_and_variable_of_the_pipeline_exists() -> None:
    text = WORKFLOW.read_text()
    for script in re.findall(r"sh (iac/[\w/.]+\.sh)", text):
        assert (ROOT / script).is_file(), script
        subprocess.run(["sh", "-n", str(ROOT / script)], check=True)
    for module in re.findall(r"-m (iac\.\w+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module
    readme = (ROOT / "iac/README.md").read_text()
    for name in set(re.findall(r"(?:vars|secrets)\.(\w+)", text)):
        assert f"`{name}`" in readme, f"{name} is not explained in iac/README.md"


def test_what_is_packed_for_the_host_has_everything_that_compose_mounts(tmp_path: Path) -> None:
    (tmp_path / "images.txt").write_text("router sha256:aa\n")
    (tmp_path / "plugin").write_bytes(b"compose")
    environment = {**os.environ, "DOCKER_COMPOSE_PLUGIN": str(tmp_path / "plugin")}
    command = ["sh", "iac/host/pack.sh", str(tmp_path / "images.txt")]
    packed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    (tmp_path / "release.tar.gz").write_bytes(packed.stdout)
    with tarfile.open(tmp_path / "release.tar.gz") as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
    assert {"images.txt", "docker-compose-plugin", "iac/host/docker-compose.aws.yml"} <= names
    for file in COMPOSE_FILES:
        assert file in names
        for service in yaml.safe_load((ROOT / file).read_text())["services"].values():
            for volume in service.get("volumes", []):
                if isinstance(volume, str) and volume.startswith("./"):
                    path = os.path.normpath(Path(file).parent / volume.split(":")[0])
                    assert path in names, volume


KUBECTL = """#!/bin/sh
echo "$*" >>"$NOTES"
case "$*" in *"rollout status"*) exit "${STATUS:-0}" ;; esac
"""
LOOK = """#!/bin/sh
[ ! -f "$NOTES.bad" ] || { rm "$NOTES.bad"; exit 1; }
"""


def cluster(tmp_path: Path, *, first_look_fails: bool, status: str = "0") -> tuple[int, str]:
    for name, text in (("kubectl", KUBECTL), ("look", LOOK)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    notes = tmp_path / "notes"
    if first_look_fails:
        (tmp_path / "notes.bad").touch()
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "NOTES": str(notes),
        "STATUS": status,
        "PYTHON": str(tmp_path / "look"),
    }
    command = ["sh", str(ROOT / "iac/kubernetes_rollout.sh"), "https://homes"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, notes.read_text()


def test_a_cluster_that_serves_is_left_as_it_is(tmp_path: Path) -> None:
    status, notes = cluster(tmp_path, first_look_fails=False)
    assert status == 0 and "undo" not in notes
    assert "rollout status statefulset/infer-prod --timeout 10m" in notes


def test_a_cluster_that_does_not_serve_goes_back(tmp_path: Path) -> None:
    status, notes = cluster(tmp_path, first_look_fails=True)
    assert status == 1
    assert notes.count("rollout undo") == 6


def test_a_cluster_that_serves_neither_says_so(tmp_path: Path) -> None:
    assert cluster(tmp_path, first_look_fails=False, status="1")[0] == 2
