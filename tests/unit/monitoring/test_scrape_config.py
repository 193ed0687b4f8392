"""Every scrape job has a service that exports metrics."""

from __future__ import annotations

import pytest
import yaml

from local.ports import BASE
from monitoring import scrape_config
from tests.unit.monitoring.alert_rules import ROOT

COMPOSE_FILES = ("docker-compose.yaml", "docker-compose.ab.yml", "monitoring/docker-compose.monitoring.yml")


def test_the_committed_configuration_is_not_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert scrape_config.main(["--check"]) == 0, capsys.readouterr().err


def test_every_job_scrapes_a_service_of_the_compose_files() -> None:
    services = {name for file in COMPOSE_FILES for name in yaml.safe_load((ROOT / file).read_text())["services"]}
    assert {job.host for job in scrape_config.JOBS} - {"127.0.0.1"} <= services


def test_every_local_port_is_a_port_of_the_local_stack() -> None:
    assert {job.local_port for job in scrape_config.JOBS if job.local_port} <= set(BASE)


def test_a_stack_without_docker_is_scraped_at_its_ports() -> None:
    made = scrape_config.local({"infer-prod": 6101, "prometheus": 9190}, alertmanager="127.0.0.1:9093")
    asked = {job["job_name"]: job["static_configs"][0]["targets"] for job in made["scrape_configs"]}
    assert asked == {"infer-prod": ["127.0.0.1:6101"], "prometheus": ["127.0.0.1:9190"]}
    assert made["rule_files"] == [str(ROOT / "monitoring" / "rules" / "*.yml")]
    assert made["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["127.0.0.1:9093"]
