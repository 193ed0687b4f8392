"""Notices: how they are tried, counted and worded. The real servers are in tests/integration/test_notify.py."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from homeprices.adapters.notifications import DeliveryFailed, Email, Notification, Notifier, Slack, open_notifier
from homeprices.settings import load_settings

NOTICE = Notification("CO1 is promoted", "It scores 1.08 times as much.", "http://127.0.0.1/page")


class Channel:
    """Takes a notice after `failures` failures."""

    def __init__(self, name: str, failures: int) -> None:
        self.name, self.failures, self.taken = name, failures, list[Notification]()

    def deliver(self, notice: Notification) -> None:
        if self.failures:
            self.failures -= 1
            raise DeliveryFailed("no room")
        self.taken.append(notice)


def test_a_notice_goes_through_every_channel() -> None:
    channels = [Channel("slack", 0), Channel("email", 0)]
    assert Notifier(channels).send(NOTICE) == {"slack": True, "email": True}
    assert [channel.taken for channel in channels] == [[NOTICE], [NOTICE]]


def test_a_channel_that_fails_twice_takes_it_the_third_time() -> None:
    pauses = list[float]()
    notifier = Notifier([Channel("slack", 2)], sleep=pauses.append)
    assert notifier.send(NOTICE) == {"slack": True}
    assert (pauses, notifier.failures) == ([1, 3], {})


def test_a_channel_that_fails_three_times_is_counted_and_logged_and_raises_nothing() -> None:
    broken, sound = Channel("slack", 3), Channel("email", 0)
    undelivered = list[str]()
    notifier = Notifier([broken, sound], sleep=lambda _: None, undelivered=undelivered.append)
    with capture_logs() as logs:
        assert notifier.send(NOTICE) == {"slack": False, "email": True}
    assert (notifier.failures, undelivered) == ({"slack": 1}, ["slack"])
    assert [(line["event"], line["log_level"]) for line in logs] == [
        *[("notification_attempt_failed", "warning")] * 3,
        ("notification_failed", "error"),
    ]
    assert logs[-1]["channel"] == "slack"


def test_without_a_channel_the_log_has_it() -> None:
    with capture_logs() as logs:
        assert Notifier([]).send(NOTICE) == {}
    assert logs[0]["event"] == "notification_logged_only"


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({}, []),
        ({"SLACK_WEBHOOK_URL": "http://127.0.0.1/hook"}, [Slack]),
        ({"SMTP_HOST": "127.0.0.1"}, []),
        ({"SMTP_HOST": "127.0.0.1", "NOTIFY_EMAIL_TO": "ops@localhost"}, [Email]),
        (
            {
                "SLACK_WEBHOOK_URL": "http://127.0.0.1/hook",
                "SMTP_HOST": "127.0.0.1",
                "NOTIFY_EMAIL_TO": "ops@localhost",
            },
            [Slack, Email],
        ),
    ],
)
def test_the_settings_name_both_channels_one_or_none(variables: dict[str, str], names: list[type]) -> None:
    assert [type(channel) for channel in open_notifier(load_settings(variables, ()))._channels] == names


def test_secrets_do_not_show_in_a_channels_own_words() -> None:
    assert "hush" not in repr(Slack("http://127.0.0.1/hush"))
    assert "hush" not in repr(Email("127.0.0.1", 25, "a@localhost", "b@localhost", "user", "hush"))
