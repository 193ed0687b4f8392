"""The workflows: rights per job, when they run, and that nothing unsigned is rolled out."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.references import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
READ = {"contents": "read"}
READ_AND_TOKEN = {"contents": "read", "id-token": "write"}
SIGNER = "https://github.com/owner/homes/.github/workflows/deploy.yml@refs/heads/main"
DIGESTS = {"router": f"sha256:{'a' * 64}", "mlflow": f"sha256:{'b' * 64}"}


def workflow(name: str) -> dict[Any, Any]:
    return dict(yaml.safe_load((ROOT / ".github/workflows" / name).read_text()))


def triggers(name: str) -> dict[str, Any]:
    return dict(workflow(name)[True])  # YAML reads `on` as true


def test_checks_and_releases_are_separate() -> None:
    assert [file.name for file in WORKFLOWS] == ["ci.yml", "deploy.yml"]
    assert triggers("deploy.yml") == {"push": {"branches": ["main"]}}
    assert set(triggers("ci.yml")) == {"pull_request", "workflow_call", "workflow_dispatch", "schedule"}
    assert "secrets." not in (ROOT / ".github/workflows/ci.yml").read_text()


def test_a_workflow_has_no_right_and_each_job_only_what_it_needs() -> None:
    for name in ("ci.yml", "deploy.yml"):
        assert workflow(name)["permissions"] == {}
        for job, what in workflow(name)["jobs"].items():
            wanted = READ_AND_TOKEN if job in {"preview", "release"} else READ
            assert what["permissions"] == wanted, job


def test_no_step_leaves_a_token_in_the_clone_and_no_job_runs_forever() -> None:
    for name in ("ci.yml", "deploy.yml"):
        for job, what in workflow(name)["jobs"].items():
            assert "uses" in what or what["timeout-minutes"] <= 120, job
            for step in what.get("steps", []):
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False, job


def test_a_passphrase_is_known_to_the_step_that_needs_it_alone() -> None:
    for job, what in workflow("deploy.yml")["jobs"].items():
        assert "secrets." not in str(what.get("env")), job
        holders = [step for step in what.get("steps", []) if "secrets." in str(step)]
        assert all("pulumi" in step["run"] for step in holders), job


def test_the_audit_runs_whole_with_every_change_and_every_week() -> None:
    jobs = workflow("ci.yml")["jobs"]
    runs = [step.get("run") for step in jobs["audit"]["steps"]]
    assert runs[-3:-1] == ["make images", "make audit COMPLETE=1"]
    assert any(step.get("uses", "").startswith("aquasecurity/setup-trivy@") for step in jobs["audit"]["steps"])
    weekly = {job for job, what in jobs.items() if "schedule" not in what.get("if", "")}
    assert weekly == {"audit"}


def test_images_are_signed_before_anything_is_rolled_out() -> None:
    runs = [step.get("run", "") for step in workflow("deploy.yml")["jobs"]["release"]["steps"]]

    def place(text: str) -> int:
        [number] = [number for number, run in enumerate(runs) if text in run]
        return number

    assert place("push_images.sh") < place("sign_images.sh") < place("iac.rollout") < place("kubernetes_rollout.sh")


def test_every_pushed_image_has_provenance() -> None:
    assert "--provenance mode=max --push" in (ROOT / "iac/push_images.sh").read_text()


JQ = """#!/usr/bin/env python3
import json, sys
print(json.load(open(sys.argv[6]))["images"][sys.argv[4]])
"""
TRIVY = """#!/bin/sh
echo "trivy $*" >>"$NOTES"
for last in "$@"; do :; done
case "$*" in *"--exit-code 1"*) case $last in *"$FAULTY"*) exit 1 ;; esac ;; esac
"""
COSIGN = """#!/bin/sh
echo "cosign $*" >>"$NOTES"
case "$1" in verify) exit "${VERIFIED:-0}" ;; esac
"""


@pytest.fixture
def sign(tmp_path: Path) -> Any:
    """Run the script with programs that note how they were called; returns status and notes."""
    for name, text in (("jq", JQ), ("trivy", TRIVY), ("cosign", COSIGN), ("python", "#!/bin/sh\necho PYSEC-1\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "outputs.json").write_text(
        '{"images": {"router": "1.ecr/homes/router", "mlflow": "1.ecr/homes/mlflow"}}'
    )
    (tmp_path / "images.txt").write_text("".join(f"{name} {digest}\n" for name, digest in DIGESTS.items()))

    def run(**variables: str) -> tuple[int, list[str]]:
        notes = tmp_path / "notes"
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "NOTES": str(notes), "FAULTY": "none",
                       "PYTHON": str(tmp_path / "python"), **variables}  # fmt: skip
        command = ["sh", str(ROOT / "iac/sign_images.sh"), "outputs.json", "images.txt", "linux/arm64", SIGNER]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, notes.read_text().splitlines()

    return run


def test_every_image_is_scanned_signed_attested_and_verified_by_its_digest(sign: Any) -> None:
    status, notes = sign()
    assert status == 0
    for name, digest in DIGESTS.items():
        image = f"1.ecr/homes/{name}@{digest}"
        [sbom] = re.findall(rf"--output (\S+) {image}$", "\n".join(notes), re.M)
        mine = [note for note in notes if note.endswith(image)]
        assert "--severity HIGH,CRITICAL --ignore-unfixed --ignorefile build/trivyignore --exit-code 1" in mine[0]
        assert mine[2:] == [
            f"cosign sign --yes {image}",
            f"cosign attest --yes --type cyclonedx --predicate {sbom} {image}",
            f"cosign verify --certificate-identity {SIGNER} "
            f"--certificate-oidc-issuer https://token.actions.githubusercontent.com {image}",
        ]


def test_a_vulnerable_image_stops_the_release_before_any_is_signed(sign: Any) -> None:
    status, notes = sign(FAULTY="mlflow")
    assert status != 0
    assert not any(note.startswith("cosign") for note in notes)


def test_a_signature_that_does_not_verify_stops_the_release(sign: Any) -> None:
    status, notes = sign(VERIFIED="1")
    assert status != 0
    assert sum(note.startswith("cosign verify") for note in notes) == 1
