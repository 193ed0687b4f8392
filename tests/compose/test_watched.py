"""Prometheus scrapes every part of the stack and has the metrics of its rules and dashboards."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.compose_stack import FILES, WATCHERS, ComposeStack
from tests.compose.prometheus_api import Prometheus
from tests.support import runbook
from tests.unit.monitoring.alert_rules import rules
from tests.unit.monitoring.named_metrics import FOREIGN, exported, used

WITHOUT_IMAGE = {"airflow"}  # the StatsD exporter's
APPEARS_WITH_AN_EVENT = {"ALERTS"}
WAITS_FOR_A_REPORT = {name for family in exported() for name in family if name.startswith("homeprices_drift_")}
PUBLISHED = {"6001": "INFER_PROD", "6002": "INFER_CAND", "6500": "FRONTEND", "7000": "ROUTER", "8080": "AIRFLOW"}
COMMANDS = sorted({cause.compose for alert in runbook.sections() for cause in runbook.causes(alert)})
WAITS_FOR_A_KEY = {"router_key_requests_total", "router_key_last_used_timestamp_seconds"}


@pytest.fixture(scope="module")
def prometheus(stack: ComposeStack) -> Iterator[Prometheus]:
    """The API of the stack's Prometheus."""
    asked = Prometheus(stack.url("PROMETHEUS"))
    yield asked
    asked.close()


def test_what_watches_starts_beside_the_stack_as_nobody(stack: ComposeStack) -> None:
    stack.watch()
    for service in WATCHERS:
        [container] = [c for c in stack.containers() if c["Service"] == service]
        known = stack.inspect(container["Name"])
        status = Path(f"/proc/{known['State']['Pid']}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        assert fields["Uid"].split()[1] != "0" and int(fields["CapEff"], 16) == 0, service
        assert known["HostConfig"]["ReadonlyRootfs"] and known["HostConfig"]["Memory"] > 0, service
        assert not [m for m in known["Mounts"] if "docker.sock" in m["Source"] or m["Source"] == "/"], service


def test_every_target_answers(stack: ComposeStack, prometheus: Prometheus) -> None:
    def down() -> set[str]:
        return {job for job, health in prometheus.targets().items() if health != {"up"}} - WITHOUT_IMAGE

    stack.wait(lambda: not down(), 90, "every target to answer")
    assert set(prometheus.targets()) >= {"infer-prod", "infer-cand", "router", "homeprices", "postgres", "s3", "node"}
    assert stack.wait(prometheus.alertmanagers, 30, "an Alertmanager") == ["http://alertmanager:9093/api/v2/alerts"]


def test_every_rule_is_evaluated_without_an_error(stack: ComposeStack, prometheus: Prometheus) -> None:
    stack.wait(lambda: all(rule["health"] != "unknown" for rule in prometheus.rules()), 180, "every rule's first turn")
    assert [(r["name"], r["lastError"]) for r in prometheus.rules() if r["health"] != "ok"] == []
    assert len(prometheus.rules()) == len(rules())


def test_every_metric_that_a_rule_or_a_page_names_has_a_series(stack: ComposeStack, prometheus: Prometheus) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}  # some wait for traffic
    expected = (used() - recorded - APPEARS_WITH_AN_EVENT) - WAITS_FOR_A_REPORT - WAITS_FOR_A_KEY
    stack.wait(lambda: expected <= prometheus.names(), 90, f"series of {sorted(expected - prometheus.names())}")
    assert prometheus.names() >= FOREIGN - APPEARS_WITH_AN_EVENT


def test_the_exporter_reads_the_database_and_may_change_nothing(stack: ComposeStack, prometheus: Prometheus) -> None:
    parts = ("bucket", "database", "airflow", "airflow-runs", "mlflow", "disk")

    def down() -> list[str]:  # one that was slow to answer is asked again after 15 s
        return [p for p in parts if prometheus.value(f'homeprices_dependency_up{{dependency="{p}"}}') != 1]

    stack.wait(lambda: not down(), 90, f"the exporter to reach {down()}")
    assert prometheus.value('homeprices_bundle_number{variant="production"}') == 1
    assert prometheus.value("homeprices_experiment_running") == 1
    assert prometheus.value('homeprices_process_last_success_timestamp_seconds{process="training"}')


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_runbook_ends_without_an_error_and_says_something(stack: ComposeStack, command: str) -> None:
    if command.startswith("curl "):
        command = re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda port: str(stack.ports[PUBLISHED[port[0]]]), command)
    words = shlex.split(command.replace("docker compose exec ", "docker compose exec -T "))  # no terminal here
    done = stack.run(*words, COMPOSE_FILE=":".join(FILES))
    assert done.stdout.strip()
