"""Every alert has severity, reason and runbook. promtool tests that each fires when it must (make test-rules)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.monitoring.alert_rules import FOLDER, ROOT, alerts, cases

TEMPLATE = ROOT / "monitoring" / "alertmanager" / "alertmanager.yml.template"


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_has_a_severity_a_reason_and_a_runbook(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in {"page", "ticket"} and rule["labels"]["part"]
    assert set(rule["annotations"]) == {"summary", "description", "reason", "runbook_url"}
    assert all(text.strip() for text in rule["annotations"].values())
    assert rule["annotations"]["runbook_url"] == f"documentations/runbook.md#{name.lower()}"


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "must not fire"])
def test_each_alert_has_a_case_in_which_it(fires: bool) -> None:
    covered = {case["alertname"] for case in cases() if bool(case.get("exp_alerts")) is fires}
    assert sorted(covered) == sorted(alerts())


@pytest.mark.parametrize("file", sorted((FOLDER / "tests").glob("*.yml")), ids=lambda file: file.stem)
def test_recording_rules_are_evaluated_before_the_alerts_that_read_them(file: Path) -> None:
    """Without `group_eval_order`, promtool evaluates groups in a random order, and a case passes or fails by chance."""
    suite = yaml.safe_load(file.read_text())
    groups = [
        group for name in suite["rule_files"] for group in yaml.safe_load((file.parent / name).read_text())["groups"]
    ]
    recorded = {group["name"] for group in groups if all("record" in rule for rule in group["rules"])}
    if not recorded:
        return
    order = suite["group_eval_order"]
    assert sorted(order) == sorted(group["name"] for group in groups)
    assert [name for name in order if name in recorded] == order[: len(recorded)]


def test_alertmanager_inhibits_only_alerts_that_exist() -> None:
    text = re.sub(r"@\w+@", "1s", re.sub(r" #(slack|email|login)$", "", TEMPLATE.read_text(), flags=re.MULTILINE))
    for rule in yaml.safe_load(text)["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            found = re.fullmatch(r'alertname(=~?)"(.+)"', matcher)
            if found is None:
                continue
            for wanted in found[2].split("|") if found[1] == "=~" else [re.escape(found[2])]:
                assert [name for name in alerts() if re.fullmatch(wanted, name)], f"{matcher} matches no alert"
