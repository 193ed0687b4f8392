"""The program that installs a release on the host, with stubs of `aws` and `docker` that record their calls.

tests/compose covers Compose, and the pipeline covers the archive in the bucket.
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.infrastructure.iac.graph import ROOT

REVISION = "0123abcd"
AWS = """#!/bin/bash
case "$*" in
  *get-secret-value*arn:application*) echo '{"POSTGRES_PASSWORD": "app", "AIRFLOW_FERNET_KEY": "f$k="}' ;;
  *get-secret-value*arn:database*) echo '{"username": "postgres", "password": "$ix#<&"}' ;;
  *get-login-password*) echo token ;;
  "s3 cp "*) [ -f "$RELEASE" ] && cat "$RELEASE" || exit 1 ;;
esac
"""
DOCKER = """#!/bin/bash
[ "$1" != login ] || cat >/dev/null
echo "$*" >>"$NOTES"
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder like a host's, with programs that record how they are called."""
    for name, text in (("aws", AWS), ("docker", DOCKER)):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/known").write_text(
        "AWS_REGION=r\nBUCKET=b\nREGISTRY=registry\nREPOSITORIES=homes\n"
        "SECRET_APPLICATION=arn:application\nSECRET_DATABASE=arn:database\n"
    )
    (tmp_path / "etc/compose.env").write_text("MLFLOW_S3_BUCKET='b'\n")
    (tmp_path / "releases").mkdir()
    content = tmp_path / "content"
    (content / "monitoring").mkdir(parents=True)
    (content / "images.txt").write_text("inference sha256:aa\nrouter sha256:bb\n")
    with tarfile.open(tmp_path / "release.tar.gz", "w:gz") as archive:
        archive.add(content, ".")
    return tmp_path


def release(host: Path, revision: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{host / 'bin'}:{os.environ['PATH']}",
        "HOMEPRICES_ETC": str(host / "etc"),
        "HOMEPRICES_RELEASES": str(host / "releases"),
        "RELEASE": str(host / "release.tar.gz"),
        "NOTES": str(host / "notes"),
    }
    script = ROOT / "iac/host/release.sh"
    return subprocess.run(
        ["bash", str(script), revision], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_a_release_is_unpacked_told_its_secrets_and_started(host: Path) -> None:
    done = release(host, REVISION)
    assert done.returncode == 0, done.stderr
    folder = host / "releases" / REVISION
    lines = (folder / ".env").read_text().splitlines()
    assert lines[0] == "MLFLOW_S3_BUCKET='b'"
    assert f"IMAGE_TAG='{REVISION}'" in lines
    assert "POSTGRES_PASSWORD='app'" in lines
    assert "AIRFLOW_FERNET_KEY='f$k='" in lines
    assert "POSTGRES_SUPERUSER_PASSWORD='$ix#<&'" in lines
    assert (folder / ".env").stat().st_mode & 0o077 == 0
    assert (folder / "monitoring/.env").resolve() == folder / ".env"
    assert (host / "releases/current").readlink() == Path(REVISION)
    notes = (host / "notes").read_text()
    assert "pull --quiet registry/homes/inference@sha256:aa" in notes
    assert f"tag registry/homes/router@sha256:bb homeprices-router:{REVISION}" in notes
    assert "up -d --no-build --wait" in notes


def test_a_release_that_does_not_arrive_changes_nothing(host: Path) -> None:
    assert release(host, REVISION).returncode == 0
    (host / "release.tar.gz").unlink()
    assert release(host, "ffff").returncode != 0
    assert (host / "releases/current").readlink() == Path(REVISION)
    assert not (host / "releases/ffff").exists()


def test_going_back_needs_no_download(host: Path) -> None:
    assert release(host, REVISION).returncode == 0
    (host / "release.tar.gz").unlink()
    assert release(host, REVISION).returncode == 0


@pytest.mark.parametrize("revision", ["", "../etc", "main; rm"])
def test_what_is_no_revision_is_refused(host: Path, revision: str) -> None:
    assert release(host, revision).returncode != 0
    assert not (host / "notes").exists()


def test_secrets_have_values_that_need_no_quoting() -> None:
    from iac.seed_secrets import completed

    values, _ = completed({})
    assert not [name for name, value in values.items() if set(value) & set("'\n\\")]
    assert json.dumps(values)
