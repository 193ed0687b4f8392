"""Prometheus' own tool on the rules and the configuration: each alert fires when it must, and not else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from local.ports import Ports
from monitoring import scrape_config
from tests.support.programs import PROMTOOL
from tests.unit.monitoring.alert_rules import FOLDER

pytestmark = PROMTOOL.mark


def promtool(*words: str) -> str:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("file", sorted((FOLDER / "tests").glob("*.yml")), ids=lambda file: file.stem)
def test_each_alert_fires_when_it_must_and_only_then(file: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", str(file))


@pytest.mark.parametrize(
    "made", [scrape_config.compose(), json.dumps(scrape_config.local(Ports.moved_by("0").by_purpose))]
)
def test_prometheus_accepts_both_configurations(made: str, tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(made.replace("/etc/prometheus/rules", str(FOLDER)))
    assert "rules found" in promtool("check", "config", str(file))
