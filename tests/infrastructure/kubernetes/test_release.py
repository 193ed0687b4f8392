"""A release over the overlay for AWS, rendered by kustomize if installed (make kubernetes-check)."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from iac.release import ReleaseRefused, airflow_values, kustomization, main, read_images
from tests.support.programs import KUBERNETES_CHECKS, KUSTOMIZE

ROOT = Path(__file__).parents[3]
NAMES = ("inference", "exporter", "router", "frontend", "mlflow", "airflow")
IMAGES = {name: f"sha256:{number:064x}" for number, name in enumerate(NAMES)}
OUTPUTS = {
    "bucket": "homes-data",
    "region": "ap-south-1",
    "domain": "homes.example.org",
    "database_address": "db.internal",
    "database_secret": "arn:aws:secretsmanager:ap-south-1:1:secret:rds",
    "images": {name: f"1.dkr.ecr/homes/{name}" for name in NAMES},
    "target_groups": {"frontend": "arn:frontend", "mlflow": "arn:mlflow"},
}


def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: dict[str, Any]) -> int:
    (tmp_path / "images.txt").write_text("".join(f"{name} {digest}\n" for name, digest in IMAGES.items()))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(outputs)))
    return main(["--images", str(tmp_path / "images.txt"), "--revision", "abc", "--out", str(tmp_path / "out")])


def test_every_image_is_a_digest_and_every_placeholder_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KUBERNETES_CHECKS.require()
    assert release(tmp_path, monkeypatch, OUTPUTS) == 0
    command = [str(KUSTOMIZE), "kustomize", "--load-restrictor", "LoadRestrictionsNone", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    documents = list(yaml.safe_load_all(done.stdout))
    pods = [d["spec"]["template"]["spec"] for d in documents if d["kind"] in {"Deployment", "StatefulSet", "Job"}]
    images = {container["image"] for pod in pods for container in pod["containers"]}
    assert [image.partition("@")[0] for image in images if "/homes/" not in image] == ["postgres:18"]
    images = {image for image in images if "/homes/" in image}
    assert images == {f"1.dkr.ecr/homes/{name}@{IMAGES[name]}" for name in NAMES if name != "airflow"}
    assert "TARGET-GROUP" not in done.stdout and "DATABASE-" not in done.stdout
    bound = {d["metadata"]["name"]: d["spec"]["targetGroupARN"] for d in documents if d["kind"] == "TargetGroupBinding"}
    assert bound == OUTPUTS["target_groups"]
    told = [d["data"] for d in documents if d["kind"] == "ConfigMap" and "POSTGRES_HOST" in d["data"]]
    assert {one["POSTGRES_HOST"] for one in told} == {"db.internal"} and len(told) == 2
    assert {one["MLFLOW_S3_BUCKET"] for one in told} == {"homes-data"}
    assert {one["HOMEPRICES_HOSTS"] for one in told} == {"homes.example.org"}


def test_airflows_chart_is_told_the_digest_and_the_bucket() -> None:
    values = airflow_values(OUTPUTS, IMAGES)
    assert values["images"]["airflow"] == {"repository": "1.dkr.ecr/homes/airflow", "digest": IMAGES["airflow"]}
    assert values["config"]["logging"]["remote_base_log_folder"] == "s3://homes-data/airflow-logs"


def test_a_stack_of_another_target_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = {name: value for name, value in OUTPUTS.items() if name != "target_groups"}
    assert release(tmp_path, monkeypatch, outputs) == 1
    assert "the stack has no output target_groups" in capsys.readouterr().err


def test_an_image_without_a_digest_is_refused() -> None:
    with pytest.raises(ReleaseRefused, match="there is no digest of router"):
        kustomization(OUTPUTS, {name: d for name, d in IMAGES.items() if name != "router"}, "abc", "../aws")
    with pytest.raises(ReleaseRefused, match="is not an image and its digest"):
        read_images("router latest\n")
