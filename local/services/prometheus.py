"""The exporter for metrics that no other service exports, and Prometheus where its program is installed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from local import ports
from local.stack import ROOT, Stack
from local.supervision import probes
from local.supervision.service_spec import RunCommand, ServiceSpec
from monitoring import scrape_config


def exporter(stack: Stack) -> ServiceSpec:
    """Return the exporter, which runs with or without a Prometheus that scrapes it."""
    return ServiceSpec(
        name="exporter",
        argv=(sys.executable, "-m", "monitoring.exporter"),
        ready=probes.answers(f"{stack.url('exporter')}/metrics"),
        env=stack.environment("exporter", **stack.airflow_service, **_link(stack)),
        cwd=ROOT,
        ports={"exporter": stack.ports["exporter"]},
        depends_on=("database", "bucket"),
    )


def _program(stack: Stack) -> str | None:
    return shutil.which("prometheus", path=stack.inherited.get("PATH"))


def _link(stack: Stack) -> dict[str, str]:
    """Return the address of Prometheus for the operations page, unless a person has set one or there is none."""
    is_set = "HOMEPRICES_PROMETHEUS_PUBLIC_URL" in stack.overrides
    return {} if is_set or not _program(stack) else {"HOMEPRICES_PROMETHEUS_PUBLIC_URL": stack.url("prometheus")}


def prometheus(stack: Stack) -> list[ServiceSpec]:
    """Return Prometheus where its program is on PATH, else nothing."""
    program = _program(stack)
    if program is None:
        return []
    home = stack.folder / "prometheus"
    port = stack.ports["prometheus"]

    def prepare(_job: RunCommand) -> None:
        (home / "data").mkdir(parents=True, exist_ok=True)
        # JSON is YAML.
        (home / "prometheus.yml").write_text(json.dumps(scrape_config.local(stack.ports.by_purpose), indent=2) + "\n")

    return [
        ServiceSpec(
            name="prometheus",
            argv=(
                str(Path(program)),
                f"--config.file={home / 'prometheus.yml'}",
                f"--storage.tsdb.path={home / 'data'}",
                "--storage.tsdb.retention.time=15d",
                f"--web.listen-address={ports.LOOPBACK}:{port}",
            ),
            ready=probes.answers(f"{stack.url('prometheus')}/-/ready"),
            env=dict(stack.inherited),
            cwd=stack.folder,
            ports={"prometheus": port},
            pre_start=prepare,
        ),
    ]
