"""Notices over a real HTTP and a real SMTP connection."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from homeprices.adapters.notifications import Channel, Email, Notification, Notifier, Slack, open_notifier
from homeprices.settings import load_settings
from tests.support.fake_servers import mail_server, webhook
from tests.support.free_ports import free_ports

NOTICE = Notification(
    "CO1 is promoted: production is BO2", "It scores 1.08 times as much <as BO1> & is faster.", "http://x/page"
)


@pytest.fixture
def closed_port() -> int:
    """A port that nothing listens on."""
    return free_ports(1)[0]


def test_slack_gets_the_title_the_text_and_the_link_escaped() -> None:
    with webhook() as hook:
        assert Notifier([Slack(hook.url)]).send(NOTICE) == {"slack": True}
    assert hook.posts == [
        {
            "text": "*CO1 is promoted: production is BO2*\n"
            "It scores 1.08 times as much &lt;as BO1&gt; &amp; is faster.\n<http://x/page|More about it>",
            "unfurl_links": False,
            "unfurl_media": False,
        }
    ]


def test_a_mail_has_the_title_as_its_subject_and_the_rest_as_its_text() -> None:
    with mail_server() as box:
        channel = Email("127.0.0.1", box.port, "homeprices@localhost", "ops@localhost, lead@localhost")
        assert Notifier([channel]).send(Notification("Two\nlines", "Priced in ₹.", "http://x/page")) == {"email": True}
    [message] = box.messages
    assert (message["Subject"], message["To"]) == ("Two lines", "ops@localhost, lead@localhost")
    text = message.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert text.decode().splitlines() == ["Priced in ₹.", "", "http://x/page"]
    assert [c for c in box.commands if c.upper().startswith("RCPT")] == [
        "rcpt TO:<ops@localhost>",
        "rcpt TO:<lead@localhost>",
    ]


def test_both_channels_of_the_settings_get_it_and_a_first_failure_is_tried_again() -> None:
    with webhook(failures=1) as hook, mail_server() as box:
        settings = load_settings(
            {
                "SLACK_WEBHOOK_URL": hook.url,
                "SMTP_HOST": "127.0.0.1",
                "SMTP_PORT": str(box.port),
                "NOTIFY_EMAIL_TO": "ops@localhost",
            },
            (),
        )
        assert open_notifier(settings).send(NOTICE) == {"slack": True, "email": True}
    assert (hook.attempts, len(hook.posts), len(box.messages)) == (2, 1, 1)


def test_servers_that_stay_broken_are_said_to_be_and_nothing_is_raised() -> None:
    with webhook(failures=9) as hook, mail_server(refusals=9) as box, capture_logs() as logs:
        channels: list[Channel] = [Slack(hook.url), Email("127.0.0.1", box.port, "a@localhost", "b@localhost")]
        notifier = Notifier(channels, sleep=lambda _: None)
        assert notifier.send(NOTICE) == {"slack": False, "email": False}
    assert (hook.attempts, box.connections, notifier.failures) == (3, 3, {"slack": 1, "email": 1})
    problems = {line["problem"] for line in logs if line["event"] == "notification_attempt_failed"}
    assert any("503: no_service" in problem for problem in problems)
    assert any("421" in problem for problem in problems)
    assert "hush" not in str(logs)


def test_an_unavailable_server_is_reported(closed_port: int) -> None:
    channels: list[Channel] = [
        Slack(f"http://127.0.0.1:{closed_port}/hush"),
        Email("127.0.0.1", closed_port, "a@localhost", "b@localhost"),
    ]
    with capture_logs() as logs:
        assert Notifier(channels, sleep=lambda _: None).send(NOTICE) == {"slack": False, "email": False}
    assert "the webhook does not answer: ConnectError" in {line.get("problem") for line in logs}
    assert "hush" not in str(logs)


def test_a_password_is_never_sent_without_tls() -> None:
    with mail_server() as box, capture_logs() as logs:
        channel = Email("127.0.0.1", box.port, "a@localhost", "b@localhost", "user", "hush")
        assert Notifier([channel], sleep=lambda _: None).send(NOTICE) == {"email": False}
    assert (box.messages, [c for c in box.commands if "AUTH" in c.upper()]) == ([], [])
    assert "offers no TLS" in logs[0]["problem"]
