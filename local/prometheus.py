"""Prometheus, when its program is on the machine, and the exporter of what no other part tells it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from local import probes
from local.service import Job, Service
from local.stack import ROOT, Stack
from monitoring import scrape


def prometheus(stack: Stack, program: str | None = None) -> list[Service]:
    """The two services, or nothing."""
    found = program or shutil.which("prometheus", path=stack.inherited.get("PATH"))
    if found is None:
        return []
    home = stack.folder / "prometheus"
    port = stack.ports["prometheus"]

    def prepare(_job: Job) -> None:
        (home / "data").mkdir(parents=True, exist_ok=True)
        # JSON is YAML.
        (home / "prometheus.yml").write_text(json.dumps(scrape.local(stack.ports.by_purpose), indent=2) + "\n")

    return [
        Service(
            name="exporter",
            argv=(sys.executable, "-m", "monitoring.exporter"),
            ready=probes.answers(f"{stack.url('exporter')}/metrics"),
            env=stack.environment(),
            cwd=ROOT,
            ports={"exporter": stack.ports["exporter"]},
            depends_on=("database", "bucket"),
        ),
        Service(
            name="prometheus",
            argv=(
                str(Path(found)),
                f"--config.file={home / 'prometheus.yml'}",
                f"--storage.tsdb.path={home / 'data'}",
                "--storage.tsdb.retention.time=15d",
                f"--web.listen-address={probes.LOOPBACK}:{port}",
            ),
            ready=probes.answers(f"{stack.url('prometheus')}/-/ready"),
            env=stack.environment(),
            cwd=stack.folder,
            ports={"prometheus": port},
            prepare=prepare,
        ),
    ]
