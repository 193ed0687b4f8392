"""Check the manifests as the cluster would get them: rendered by kustomize, strictly of their schema, and by checkov.

Run by `make kubernetes-check` in an environment of its own: checkov pins packages that others need in other versions.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

FOLDER = Path(__file__).parent
BIN = Path(sys.executable).parent
OVERLAYS = ("overlays/local", "overlays/aws")
VERSIONS = ("1.33", "1.37")
"""The oldest that EKS supports in its standard term, and the newest whose schema we have."""

WITHOUT_SCHEMA = {"ServiceMonitor", "PrometheusRule", "ExternalSecret", "SecretStore", "TargetGroupBinding"}
"""Kinds that operators bring; their schemas are not in the wheel, so these are checked to be YAML and no more."""


def render(overlay: str) -> str:
    """What `kubectl apply -k` would send. Raises SystemExit with kustomize's own words."""
    done = subprocess.run(
        [str(BIN / "kubectl"), "kustomize", str(FOLDER / overlay)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{overlay}: {done.stderr.strip()}")
    return done.stdout


def wrong(overlay: str, rendered: str) -> list[str]:
    """A line for each document that is not of its schema, or of none that is known."""
    found = []
    for document in yaml.safe_load_all(rendered):
        name = f"{overlay}: {document['kind']} {document['metadata']['name']}"
        if document["kind"] in WITHOUT_SCHEMA:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                place = ".".join(map(str, getattr(error, "path", [])))
                found.append(f"{name} (Kubernetes {version}): {place} {getattr(error, 'message', error)}")
    return found


def main() -> int:
    """Every overlay, every check."""
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for overlay in OVERLAYS:
            rendered = render(overlay)
            for line in wrong(overlay, rendered):
                failed = True
                print(line, file=sys.stderr)
            Path(folder, overlay.replace("/", "-") + ".yaml").write_text(rendered)
        checkov = [str(BIN / "checkov"), "--config-file", str(FOLDER / "checkov.yaml"), "-d", folder]
        done = subprocess.run(checkov, capture_output=True, text=True, check=False)
    if done.returncode:
        failed = True
        print(done.stdout + done.stderr, file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
