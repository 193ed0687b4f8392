"""Generator of a release's kustomization over `kubernetes/overlays/aws`, from image digests and the stack's outputs.

    pulumi stack output --json | python -m iac.release --images images.txt --revision REVISION --out build/release

writes `kustomization.yaml` for `kubectl apply -k build/release`, and `airflow.yaml`, values for Airflow's chart.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
OVERLAY = ROOT / "kubernetes" / "overlays" / "aws"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ReleaseRefused(Exception):
    """An input of a release is missing or invalid."""


def read_images(text: str) -> dict[str, str]:
    """Return digests by image, from lines of `name sha256:...`. Raises ReleaseRefused."""
    digests = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, digest = line.partition(" ")
        if not DIGEST.fullmatch(digest):
            raise ReleaseRefused(f"{line!r} is not an image and its digest, such as 'router sha256:...'")
        digests[name] = digest
    return digests


def kustomization(outputs: Mapping[str, Any], images: Mapping[str, str], revision: str, overlay: str) -> dict[str, Any]:
    """Return the release's kustomization over the overlay at the relative path `overlay`. Raises ReleaseRefused."""
    needed = {"bucket", "domain", "region", "database_address", "database_secret", "images", "target_groups"}
    if missing := sorted(needed - outputs.keys()):
        raise ReleaseRefused(f"the stack has no output {', '.join(missing)}; is it one of target kubernetes?")
    repositories = outputs["images"]
    if unknown := sorted(set(repositories) - set(images)):
        raise ReleaseRefused(f"there is no digest of {', '.join(unknown)}")
    literals = [
        f"HOMEPRICES_HOSTS={outputs['domain']}",
        f"MLFLOW_S3_BUCKET={outputs['bucket']}",
        f"AWS_DEFAULT_REGION={outputs['region']}",
        f"POSTGRES_HOST={outputs['database_address']}",
        f"HOMEPRICES_GIT_REVISION={revision}",
    ]
    maps = [{"name": name, "behavior": "merge", "literals": literals} for name in ("shared", "airflow-shared")]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "homeprices",
        "resources": [overlay],
        "configMapGenerator": maps,
        "images": [
            {"name": f"homeprices-{name}", "newName": repositories[name], "digest": images[name]}
            for name in sorted(repositories)
        ],
        "patches": [*_targets(outputs["target_groups"]), *_database(outputs)],
    }


def _targets(groups: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return patches with the load balancer's target groups; a UI without one (no sign-in) gets no binding."""
    patches = []
    for name in ("frontend", "mlflow", "airflow"):
        target = {"kind": "TargetGroupBinding", "name": name}
        if name in groups:
            operation = {"op": "replace", "path": "/spec/targetGroupARN", "value": groups[name]}
            patches.append({"target": target, "patch": json.dumps([operation])})
        else:
            gone = {
                "$patch": "delete",
                "apiVersion": "elbv2.k8s.aws/v1beta1",
                "kind": "TargetGroupBinding",
                "metadata": {"name": name},
            }
            patches.append({"target": target, "patch": json.dumps(gone)})
    return patches


def _database(outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    airflow_url = f"postgresql://airflow:{{{{ .password }}}}@{outputs['database_address']}/airflow?sslmode=require"
    values = {
        "homeprices-databases": ("/spec/data/0/remoteRef/key", outputs["database_secret"]),
        "airflow-database": ("/spec/target/template/data/connection", airflow_url),
    }
    return [
        {
            "target": {"kind": "ExternalSecret", "name": name},
            "patch": json.dumps([{"op": "replace", "path": path, "value": value}]),
        }
        for name, (path, value) in values.items()
    ]


def airflow_values(outputs: Mapping[str, Any], images: Mapping[str, str]) -> dict[str, Any]:
    """Return the chart's values for this release, in addition to `kubernetes/airflow/values.yaml`."""
    return {
        "images": {"airflow": {"repository": outputs["images"]["airflow"], "digest": images["airflow"]}},
        "config": {"logging": {"remote_base_log_folder": f"s3://{outputs['bucket']}/airflow-logs"}},
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; reads the outputs of the stack as JSON from standard input."""
    parser = argparse.ArgumentParser(prog="python -m iac.release", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="lines of `name sha256:...`")
    parser.add_argument("--revision", required=True)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    try:
        outputs, images = json.load(sys.stdin), read_images(chosen.images.read_text())
        chosen.out.mkdir(parents=True, exist_ok=True)
        overlay = os.path.relpath(OVERLAY, chosen.out.resolve())
        made = kustomization(outputs, images, chosen.revision, overlay)
    except (ReleaseRefused, ValueError, OSError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    (chosen.out / "kustomization.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
    (chosen.out / "airflow.yaml").write_text(yaml.safe_dump(airflow_values(outputs, images), sort_keys=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
