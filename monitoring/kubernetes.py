"""ServiceMonitors and PrometheusRules for the Prometheus operator, from the same sources as Compose.

`python -m monitoring.kubernetes` writes `kubernetes/monitoring/`; `--check` fails when a file is stale.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from monitoring.scrape_config import INTERVAL, JOBS, Job, dump

RULES = Path(__file__).parent / "rules"
FOLDER = Path(__file__).parent.parent / "kubernetes" / "monitoring"
HEAD = "# Made by `make kubernetes-monitoring` from monitoring/; change it there.\n"
IN_THE_CLUSTER = {"infer-prod": "http", "infer-cand": "http", "router": "metrics", "exporter": "metrics"}
"""The name of the metrics port of each service that runs in the cluster. The cluster or AWS provides the others."""


def service_monitors() -> str:
    """Return one ServiceMonitor for each job whose service runs in the cluster."""
    return HEAD + "---\n".join(dump(_service_monitor(job)) for job in JOBS if job.host in IN_THE_CLUSTER)


def rules() -> str:
    """Return one PrometheusRule for each file of rules."""
    return HEAD + "---\n".join(dump(_rule(path)) for path in sorted(RULES.glob("*.yml")))


def _service_monitor(job: Job) -> dict[str, Any]:
    """Relabel the job: rules and dashboards select it by name, but the operator would name it after the service."""
    name_of_job = {"targetLabel": "job", "replacement": job.name, "action": "replace"}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": job.name},
        "spec": {
            "selector": {"matchLabels": {"app": job.host}},
            "endpoints": [
                {
                    "port": IN_THE_CLUSTER[job.host],
                    "interval": INTERVAL,
                    "scrapeTimeout": "10s",
                    "honorLabels": True,
                    "relabelings": [name_of_job],
                }
            ],
        },
    }


def _rule(path: Path) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": f"homeprices-{path.stem}"},
        "spec": {"groups": yaml.safe_load(path.read_text())["groups"]},
    }


def texts() -> dict[str, str]:
    """Return the text of every generated file by its name."""
    return {"service-monitors.yaml": service_monitors(), "rules.yaml": rules()}


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with `--check` say which is stale."""
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.kubernetes", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when a file is stale")
    check = parser.parse_args(arguments).check
    stale = [name for name, text in texts().items() if not _is(FOLDER / name, text)]
    for name in stale:
        if check:
            print(f"kubernetes/monitoring/{name} is stale: run `make kubernetes-monitoring`", file=sys.stderr)
        else:
            (FOLDER / name).write_text(texts()[name])
    return 1 if check and stale else 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    raise SystemExit(main())
