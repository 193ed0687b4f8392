"""A failed run is notified once, over real HTTP and SMTP connections; a failed delivery changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from homeprices.adapters import notifications
from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import StorageUnavailable
from homeprices.resources import Resources
from homeprices.settings import load_settings
from homeprices.workflows.notify_once import MAX_REASON_LENGTH, notify_failed_run
from tests.support.fake_servers import Hook, Mailbox, mail_server, webhook

FAILED = {"task_id": "build", "reason": "no room\non the disk", "link": "http://x/log"}


def resources(hook: Hook, box: Mailbox, bucket: MemoryBucket | None = None) -> Resources:
    names = {"SLACK_WEBHOOK_URL": hook.url, "SMTP_HOST": "127.0.0.1", "NOTIFY_EMAIL_TO": "ops@localhost"}
    return Resources(load_settings({**names, "SMTP_PORT": str(box.port)}, ()), bucket or MemoryBucket())


def notify(resources: Resources, **changes: Any) -> None:
    notify_failed_run(resources, "a_dag", "run1", **{**FAILED, **changes})


def test_it_is_told_once_by_both_channels_with_task_reason_and_link() -> None:
    with webhook(failures=1) as hook, mail_server() as box:
        opened = resources(hook, box)
        notify(opened)
        notify(opened, task_id=None, reason="task_failure")  # as Airflow's callback for the run
    assert hook.posts == [
        {
            "text": "*a_dag has failed*\nThe run run1 has failed in its task build: no room on the disk\n"
            "<http://x/log|More about it>",
            "unfurl_links": False,
            "unfurl_media": False,
        }
    ]
    assert (hook.attempts, [message["Subject"] for message in box.messages]) == (2, ["a_dag has failed"])


def test_without_a_task_a_reason_and_a_page_it_is_told_all_the_same() -> None:
    with webhook() as hook, mail_server() as box:
        notify_failed_run(resources(hook, box), "a_dag", "run1")
        notify_failed_run(resources(hook, box), "a_dag", "run2", reason="x" * 10_000)
    first, second = (post["text"] for post in hook.posts)
    assert "The run run1 has failed: no reason was given" in first and "/dags/a_dag/runs/run1|" in first
    assert second.count("x") == MAX_REASON_LENGTH


def test_with_the_bucket_away_it_is_told_rather_twice_than_never() -> None:
    class Away(MemoryBucket):
        def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
            raise StorageUnavailable("the bucket is away")

    with webhook() as hook, mail_server() as box, capture_logs() as logs:
        opened = resources(hook, box, Away())
        notify(opened)
        notify(opened)
    assert (len(hook.posts), len(box.messages)) == (2, 2)
    assert {line["event"] for line in logs} == {"notification_marker_unavailable"}


def test_channels_that_stay_broken_raise_nothing_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "PAUSES_SECONDS", (0.0, 0.0))
    with webhook(failures=9) as hook, mail_server(refusals=9) as box:
        opened = resources(hook, box)
        notify(opened)
    assert (hook.attempts, box.connections) == (3, 3)
    assert notifications.failed_deliveries(opened.bucket) == {"slack": 1, "email": 1}
