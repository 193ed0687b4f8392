"""The runbook: a section for each alert, which starts with the likely causes and commands that exist and end.

`tests/e2e/test_runbook.py` runs the commands of `make up` while the alert fires.
"""

from __future__ import annotations

import json
import re

import pytest

from local.services.catalogue import services
from local.stack import Stack
from tests.support import runbook
from tests.unit.monitoring.alert_rules import ROOT, alerts

DASHBOARDS = ROOT / "monitoring" / "grafana" / "dashboards"
SHOWN = re.compile(r"((?:\*\*[^*]+\*\*(?: and )?)+) on the \[(\w+) dashboard\]\(http://localhost:3000/d/([\w-]+)\)")
every_alert = pytest.mark.parametrize("alert", sorted(alerts()))


def test_the_runbook_has_a_section_for_each_alert_and_for_no_other() -> None:
    assert sorted(runbook.sections()) == sorted(alerts())


@every_alert
def test_a_section_states_the_severity_of_the_alert(alert: str) -> None:
    assert runbook.sections()[alert].partition(". ")[0] == alerts()[alert]["labels"]["severity"].capitalize()


@every_alert
def test_each_command_of_a_section_exists_and_ends(alert: str) -> None:
    causes = runbook.causes(alert)
    assert len({cause.name for cause in causes}) == len(causes)
    commands = [command for cause in causes for command in (cause.local, cause.compose)]
    assert {command: why for command in commands if (why := runbook.fault(command))} == {}


@every_alert
def test_a_section_links_to_panels_that_exist(alert: str) -> None:
    shown = SHOWN.findall(" ".join(runbook.sections()[alert].split()))
    assert shown, "no panel is named after the table"
    for panels, title, uid in shown:
        dashboard = json.loads((DASHBOARDS / f"{title.lower()}.json").read_text())
        assert (dashboard["uid"], dashboard["title"]) == (uid, title)
        titles = {panel["title"] for panel in dashboard["panels"]}
        assert set(re.findall(r"\*\*([^*]+)\*\*", panels)) - titles == set()


def test_bots_and_testers_are_the_first_cause_of_drift() -> None:
    assert runbook.causes("DriftDetected")[0].name.startswith("Bots and testers")


def test_a_log_that_the_page_may_name_is_one_of_a_service(tmp_path_factory: pytest.TempPathFactory) -> None:
    stack = Stack.of({"STACK_DIR": str(tmp_path_factory.mktemp("stack"))})
    assert {service.name for service in services(stack)} >= runbook.LOCAL_SERVICES


@pytest.mark.parametrize(
    "command",
    [
        "tail -f .stack/logs/infer-prod.log",
        "tail -n 50 -F .stack/logs/infer-prod.log",
        "tail -n 50 .stack/logs/inferprod.log",
        "less .stack/logs/infer-prod.log",
        "watch make status",
        "make logs SERVICE=router",
        "top",
        "curl -sS http://127.0.0.1:7000/router/version",
        "curl -sS -m 5 http://127.0.0.1:7070/router/version",
        ".venv/bin/homeprices release sttus",
        ".venv/bin/homeprices runs --latest 5",
        ".venv/bin/homeprices release",
        "docker stats",
        "docker compose logs -f infer-prod",
        "docker compose logs --tail 50 --follow infer-prod",
        "docker compose logs --tail 50 infer-production",
        "docker compose -f monitoring/docker-compose.monitoring.yml logs --tail 50 infer-prod",
        "docker compose ps -a seaweed",
        "docker compose top",
        "docker compose exec airflow-scheduler homeprices release status",
        "docker compose exec airflow-scheduler python -m homeprices release sttus",
        "docker compose exec frontend airflow dags list",
        "docker compose exec postgres python -m homeprices release status",
        "docker compose exec router tail -f /var/lib/homeprices/router/access.log",
        "docker compose exec infer-prod top -b -n 1",
    ],
)
def test_a_command_that_does_not_end_or_is_misspelt_is_refused(command: str) -> None:
    assert runbook.fault(command)
