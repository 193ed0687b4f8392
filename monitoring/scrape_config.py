"""Prometheus' scrape configuration, for Compose and for the stack without Docker, from one table of jobs.

`python -m monitoring.scrape_config` writes `monitoring/prometheus.yml` (Compose); `--check` fails when it is stale.
YAML is written without aliases, and long queries as literal blocks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
COMPOSE_FILE = FOLDER / "prometheus.yml"
INTERVAL = "15s"


@dataclass(frozen=True)
class Job:
    """A scrape job: the host name and port of its service in Compose.

    `local_port` is the purpose of its port in the stack without Docker; None: it is not scraped there. `replicas`:
    several instances are discovered by DNS, so an instance that is gone leaves no target.
    """

    name: str
    host: str
    port: int
    local_port: str | None = None
    replicas: bool = False


JOBS = (
    Job("infer-prod", "infer-prod", 6001, "infer-prod", replicas=True),
    Job("infer-cand", "infer-cand", 6002, "infer-cand", replicas=True),
    Job("router", "router", 7001, "router-metrics"),
    Job("homeprices", "exporter", 9109, "exporter"),
    Job("s3", "seaweedfs", 9327),
    Job("postgres", "postgres-exporter", 9187),
    Job("airflow", "statsd-exporter", 9102),
    Job("node", "node-exporter", 9100),
    Job("alertmanager", "alertmanager", 9093),
    Job("prometheus", "127.0.0.1", 9090, "prometheus"),
)


def compose() -> str:
    """Return the text of `monitoring/prometheus.yml`."""
    jobs = [
        {
            "job_name": job.name,
            "dns_sd_configs": [{"names": [job.host], "type": "A", "port": job.port, "refresh_interval": "10s"}],
        }
        if job.replicas
        else {"job_name": job.name, "static_configs": [{"targets": [f"{job.host}:{job.port}"]}]}
        for job in JOBS
    ]
    head = "# Made by `make dashboards` from monitoring/scrape_config.py; change it there.\n"
    return head + dump(_configuration(jobs, "/etc/prometheus/rules/*.yml", "alertmanager:9093"))


def local(ports: Mapping[str, int], rules: Path = FOLDER / "rules", alertmanager: str | None = None) -> dict[str, Any]:
    """Return the configuration of a Prometheus for the stack without Docker, whose `ports` are by purpose.

    A purpose without a port is not scraped. `alertmanager` is host:port, if there is one.
    """
    jobs = [
        {"job_name": job.name, "static_configs": [{"targets": [f"127.0.0.1:{ports[job.local_port]}"]}]}
        for job in JOBS
        if job.local_port is not None and job.local_port in ports
    ]
    return _configuration(jobs, str(rules.resolve() / "*.yml"), alertmanager)


def _configuration(jobs: list[dict[str, Any]], rules: str, alertmanager: str | None) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        "global": {"scrape_interval": INTERVAL, "scrape_timeout": "10s", "evaluation_interval": INTERVAL},
        "rule_files": [rules],
        "scrape_configs": jobs,
    }
    if alertmanager:
        configuration["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return configuration


def main(arguments: list[str] | None = None) -> int:
    """Write the configuration for Compose, or with `--check` return 1 when the file is stale."""
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.scrape_config", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when the file is stale")
    if not parser.parse_args(arguments).check:
        COMPOSE_FILE.write_text(compose())
        return 0
    if COMPOSE_FILE.read_text() == compose():
        return 0
    print(f"{COMPOSE_FILE.name} is stale: run `make dashboards` and commit it", file=sys.stderr)
    return 1


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """`yaml.SafeDumper` without aliases, with literal blocks for texts of several lines."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as PyYAML calls it
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(document: Any) -> str:
    """Return the document as YAML; keys keep their order."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=140, allow_unicode=True))


if __name__ == "__main__":
    raise SystemExit(main())
