"""Delivery of alerts: a real Alertmanager, with a web server instead of Slack, and a mail server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.fake_servers import Hook, Mailbox, mail_server, webhook
from tests.support.programs import ALERTMANAGER
from tests.support.prometheus_tools import Alertmanager, alertmanager
from tests.unit.monitoring.alert_rules import ROOT, alerts

ARRIVES_SECONDS = 30
TEMPLATE = ROOT / "monitoring" / "alertmanager" / "alertmanager.yml.template"

pytestmark = ALERTMANAGER.mark


def firing(name: str, **labels: str) -> dict[str, Any]:
    """Return an alert as Prometheus sends it, with the labels and annotations of its rule."""
    rule = alerts()[name]
    return {"labels": {"alertname": name, **rule["labels"], **labels}, "annotations": rule["annotations"]}


def until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + ARRIVES_SECONDS
    while not look():
        assert time.monotonic() < deadline, f"waited {ARRIVES_SECONDS} s in vain for {what}"
        time.sleep(0.1)


@pytest.fixture
def slack() -> Iterator[Hook]:
    """A webhook that keeps what it receives."""
    with webhook() as hook:
        yield hook


@pytest.fixture
def mail() -> Iterator[Mailbox]:
    """A mail server that keeps what it receives."""
    with mail_server() as box:
        yield box


@pytest.fixture
def both(tmp_path: Path, slack: Hook, mail: Mailbox) -> Iterator[Alertmanager]:
    """An Alertmanager with both channels."""
    channels = {
        "SLACK_WEBHOOK_URL": slack.url,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mail.port),
        "SMTP_REQUIRE_TLS": "false",
        "NOTIFY_EMAIL_FROM": "homeprices@example.org",
        "NOTIFY_EMAIL_TO": "on-call@example.org",
        "RUNBOOK_BASE_URL": "https://example.org/homeprices/",
    }
    with alertmanager(tmp_path, **channels) as running:
        yield running


def test_a_page_arrives_by_slack_and_by_mail_with_its_reason_and_its_runbook(
    both: Alertmanager, slack: Hook, mail: Mailbox
) -> None:
    both.fire(firing("DatabaseDown", dependency="database"))
    until(lambda: bool(slack.posts and mail.messages), "both messages")
    [shown] = slack.posts[0]["attachments"]
    assert (shown["title"], shown["color"]) == ("[page] DatabaseDown", "danger")
    [letter] = mail.messages
    assert (letter["Subject"], letter["To"]) == ("[page] DatabaseDown", "on-call@example.org")
    body = next(part for part in letter.walk() if part.get_content_type() == "text/plain").get_payload(decode=True)
    for text in (shown["text"], body.decode()):  # type: ignore[union-attr]
        flat = re.sub(r"\s+", " ", text)
        assert "PostgreSQL does not answer" in flat
        assert "Why it matters: Estimates continue and their records are kept on disk" in flat
        assert "https://example.org/homeprices/documentations/runbook.md#databasedown" in flat


def test_one_notification_covers_a_group_of_alerts(both: Alertmanager, slack: Hook) -> None:
    replicas = [firing("EstimatesUnlogged", instance=f"infer-prod-{number}", variant="production") for number in (1, 2)]
    both.fire(*replicas)
    until(lambda: bool(slack.posts), "the message")
    assert [post["attachments"][0]["title"] for post in slack.posts] == ["[page] EstimatesUnlogged (2)"]


@cache
def chains() -> dict[str, list[dict[str, Any]]]:
    """Every cause that the configuration names, and the alerts that it silences."""
    text = re.sub(r" #(slack|email|login)$", "", TEMPLATE.read_text(), flags=re.MULTILINE)
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in yaml.safe_load(re.sub(r"@\w+@", "1s", text))["inhibit_rules"]:
        causes, silenced = (_chosen(rule[side]) for side in ("source_matchers", "target_matchers"))
        for cause in causes:
            found.setdefault(cause["labels"]["alertname"], []).extend(
                child for child in silenced
                if all(cause["labels"].get(name) == child["labels"].get(name) for name in rule.get("equal", []))
            )  # fmt: skip
    return found


def _chosen(matchers: list[str]) -> list[dict[str, Any]]:
    """The alerts that the matchers name, with the labels that they ask for."""
    labels = {name: value for name, is_pattern, value in _parsed(matchers) if name != "alertname" and not is_pattern}
    [pattern] = [value for name, _, value in _parsed(matchers) if name == "alertname"]
    return [firing(name, **labels) for name in alerts() if re.fullmatch(pattern, name)]


def _parsed(matchers: list[str]) -> list[tuple[str, str, str]]:
    return [re.fullmatch(r'(\w+)=(~?)"(.+)"', matcher).groups() for matcher in matchers]  # type: ignore[union-attr,misc]


@pytest.mark.parametrize("cause", sorted(chains()))
def test_alerts_that_follow_from_a_known_cause_are_inhibited(cause: str, tmp_path: Path) -> None:
    ends = [child for child in chains()[cause] if child["labels"]["alertname"] not in chains()]
    links = [child for child in chains()[cause] if child["labels"]["alertname"] in chains()]  # silence others in turn
    for number, children in enumerate(batch for batch in (ends, links) if batch):
        names = {child["labels"]["alertname"] for child in children}
        with alertmanager(tmp_path / str(number)) as running:
            running.fire(*children)
            assert running.inhibited() == dict.fromkeys(names, False)
            running.fire(firing(cause, **({"job": "homeprices"} if cause == "TargetDown" else {})))
            silent = {**dict.fromkeys(names, True), cause: False}
            until(lambda running=running, silent=silent: running.inhibited() == silent, f"silence: {silent}")  # type: ignore[misc]


def test_a_cause_does_not_inhibit_unrelated_alerts(both: Alertmanager) -> None:
    both.fire(firing("DatabaseDown"), firing("SpoolNearlyFull"), firing("ServiceDown"), firing("TargetDown", job="s3"))
    assert not any(both.inhibited().values())


def test_without_a_channel_alertmanager_runs_and_shows_firing_alerts(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        running.fire(firing("DiskFull"))
        assert running.inhibited() == {"DiskFull": False}


def test_the_configuration_has_no_secret_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    hidden = {"SLACK_WEBHOOK_URL": "http://127.0.0.1:9/services/hush", "SMTP_PASSWORD": "hush'|&\\ hush"}
    mail = {"SMTP_HOST": "127.0.0.1", "SMTP_USER": "o'brien", "NOTIFY_EMAIL_TO": "a@example.org"}
    with alertmanager(tmp_path, **hidden, **mail) as running:
        shown = running.client.get("/api/v2/status").json()["config"]["original"]
        files = {file.name: file.read_text() for file in running.folder.iterdir()}
        modes = {file.stat().st_mode & 0o077 for file in running.folder.iterdir()}
    assert "hush" not in shown and "hush" not in files["alertmanager.yml"]
    assert files["smtp_password"] == hidden["SMTP_PASSWORD"]
    assert files["slack_webhook_url"] == hidden["SLACK_WEBHOOK_URL"]
    assert modes == {0}
