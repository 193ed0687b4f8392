"""Check the rendered manifests: strict schema validation, and checkov.

`make kubernetes-check` runs it in a separate environment, because checkov pins packages that the project needs in other
versions.
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
"""The oldest version in EKS's standard support, and the newest whose schema is available."""

WITHOUT_SCHEMA = {"ServiceMonitor", "PrometheusRule", "ExternalSecret", "SecretStore", "TargetGroupBinding"}
"""Kinds of operators. Their schemas are not in the wheel, so only their YAML syntax is checked."""


def render(overlay: str) -> str:
    """Return what `kubectl apply -k` would send. Raises SystemExit with kustomize's error."""
    done = subprocess.run(
        [str(BIN / "kubectl"), "kustomize", str(FOLDER / overlay)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{overlay}: {done.stderr.strip()}")
    return done.stdout


def schema_errors(overlay: str, rendered: str) -> list[str]:
    """Return a line for each document that violates its schema or has no known one."""
    errors = []
    for document in yaml.safe_load_all(rendered):
        name = f"{overlay}: {document['kind']} {document['metadata']['name']}"
        if document["kind"] in WITHOUT_SCHEMA:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                path = ".".join(map(str, getattr(error, "path", [])))
                errors.append(f"{name} (Kubernetes {version}): {path} {getattr(error, 'message', error)}")
    return errors


def main() -> int:
    """Run every check on every overlay."""
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for overlay in OVERLAYS:
            rendered = render(overlay)
            for line in schema_errors(overlay, rendered):
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
