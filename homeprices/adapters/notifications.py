"""Notifications to people: by a Slack webhook, by e-mail, by both, or by neither.

A notification reports what has already happened, so a failed delivery changes no outcome. It is tried three times, then
logged and counted, and the caller continues. The count is kept in the bucket, because the processes that send
notifications live for minutes and cannot be scraped.
"""

from __future__ import annotations

import json
import smtplib
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from typing import TYPE_CHECKING, Protocol

import httpx

from homeprices.adapters.object_store import Bucket
from homeprices.errors import HomePricesError, ObjectNotFound, PreconditionFailed
from homeprices.foreign_text import LONG, printable, printable_lines
from homeprices.log import get_logger

if TYPE_CHECKING:
    from homeprices.settings import Settings


CHANNELS = ("slack", "email")
PAUSES_SECONDS = (1.0, 3.0)  # between three attempts
TIMEOUT_SECONDS = 10.0
FAILED_DELIVERIES_KEY = "control/undelivered.json"
COUNT_ATTEMPTS = 10  # each lost one means that another process counted at the same moment
SMTPS_PORT = 465  # TLS from the first byte; on any other port the connection is upgraded when the server offers it

log = get_logger(__name__)


@dataclass(frozen=True)
class Notification:
    """A title of one line, a few sentences, and a link to a page with details."""

    title: str
    text: str
    link: str | None = None


class DeliveryFailed(Exception):
    """A channel did not accept a notification. The message never holds a secret; a webhook's address is one."""


class Channel(Protocol):
    """A service that delivers notifications."""

    @property
    def name(self) -> str:
        """The name under which failed deliveries are counted."""

    def deliver(self, notification: Notification) -> None:
        """Deliver the notification. Raises DeliveryFailed."""


@dataclass(frozen=True)
class Slack:
    """An incoming webhook."""

    webhook_url: str = field(repr=False)
    name: str = "slack"

    def deliver(self, notification: Notification) -> None:
        lines = [f"*{_slack(notification.title)}*", _slack(notification.text)]
        if notification.link:
            lines.append(f"<{_slack(notification.link)}|More about it>")
        try:
            message = {"text": "\n".join(lines), "unfurl_links": False, "unfurl_media": False}
            answer = httpx.post(self.webhook_url, json=message, timeout=TIMEOUT_SECONDS)
        except httpx.HTTPError as error:
            raise DeliveryFailed(f"the webhook does not answer: {type(error).__name__}") from error
        if not answer.is_success:
            raise DeliveryFailed(f"the webhook answered {answer.status_code}: {printable(answer.text, 100)}")


@dataclass(frozen=True)
class Email:
    """A mail server. The password is sent over TLS only."""

    host: str
    port: int
    sender: str
    recipients: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    name: str = "email"

    def deliver(self, notification: Notification) -> None:
        message = EmailMessage()
        message["Subject"] = " ".join(notification.title.split())
        message["From"] = self.sender
        message["To"] = self.recipients
        message.set_content("\n\n".join(part for part in (notification.text, notification.link) if part))
        try:
            with self._connect() as server:
                self._secure(server)
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise DeliveryFailed(f"the mail server {self.host}:{self.port}: {error}") from error

    def _connect(self) -> smtplib.SMTP:
        if self.port == SMTPS_PORT:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_SECONDS, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_SECONDS)

    def _secure(self, server: smtplib.SMTP) -> None:
        server.ehlo()
        secure = isinstance(server, smtplib.SMTP_SSL)
        if not secure and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
            secure = True
        if self.user:
            if not secure:
                raise DeliveryFailed(
                    f"the mail server {self.host}:{self.port} offers no TLS, so no password is sent to it"
                )
            server.login(self.user, self.password or "")


class Notifier:
    """Sends each notification through every channel; without channels, it only logs the notification.

    `undelivered` is called with the name of a channel that failed at every attempt.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        sleep: Callable[[float], None] = time.sleep,
        undelivered: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._channels = channels
        self._sleep = sleep
        self._undelivered = undelivered
        self.failures: Counter[str] = Counter()

    def send(self, notification: Notification) -> dict[str, bool]:
        """Return by channel whether it accepted the notification. A failed delivery raises nothing.

        Titles and texts may hold what visitors or files say, so both are cut, and control characters are escaped.
        """
        notification = replace(
            notification,
            title=printable(" ".join(notification.title.split()), LONG),
            text=printable_lines(notification.text),
        )
        if not self._channels:
            log.info("notification_logged_only", title=notification.title, text=notification.text)
        return {channel.name: self._deliver(channel, notification) for channel in self._channels}

    def _deliver(self, channel: Channel, notification: Notification) -> bool:
        bound = log.bind(channel=channel.name, title=notification.title)
        for pause in (*PAUSES_SECONDS, None):
            try:
                channel.deliver(notification)
            except DeliveryFailed as error:
                bound.warning("notification_attempt_failed", problem=str(error))
            else:
                return True
            if pause is not None:
                self._sleep(pause)
        self.failures[channel.name] += 1
        self._undelivered(channel.name)
        bound.error("notification_failed", attempts=len(PAUSES_SECONDS) + 1)
        return False


def open_notifier(settings: Settings, undelivered: Callable[[str], object] = lambda _: None) -> Notifier:
    """Return a notifier with the channels of the settings: a webhook, a mail server with a recipient, both, or none."""
    channels: list[Channel] = []
    if settings.slack_webhook_url:
        channels.append(Slack(settings.slack_webhook_url.get_secret_value()))
    if settings.smtp_host and settings.notify_email_to:
        password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
        channels.append(
            Email(
                settings.smtp_host,
                settings.smtp_port,
                settings.notify_email_from,
                settings.notify_email_to,
                settings.smtp_user,
                password,
            )
        )
    return Notifier(channels, undelivered=undelivered)


def _slack(text: str) -> str:
    """Escape Slack's three control characters (docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def count_failed_delivery(bucket: Bucket, channel: str) -> None:
    """Count a notification that a channel did not accept. Never raises, because a failed count changes no outcome."""
    try:
        for _ in range(COUNT_ATTEMPTS):
            if _add(bucket, channel):
                return
        log.warning("failed_delivery_not_counted", channel=channel, error="conflict with other writers")
    except HomePricesError as error:
        log.warning("failed_delivery_not_counted", channel=channel, error=str(error))


def failed_deliveries(bucket: Bucket) -> dict[str, int]:
    """Return the number of failed notifications by channel. Raises StorageUnavailable."""
    try:
        return _parsed(bucket.get(FAILED_DELIVERIES_KEY).body)
    except ObjectNotFound:
        return {}


def _add(bucket: Bucket, channel: str) -> bool:
    """Add one to the count of a channel; False when another process wrote in between."""
    try:
        try:
            held = bucket.get(FAILED_DELIVERIES_KEY)
        except ObjectNotFound:
            bucket.put(FAILED_DELIVERIES_KEY, json.dumps({channel: 1}).encode(), if_absent=True)
            return True
        counts = _parsed(held.body)
        counts[channel] = counts.get(channel, 0) + 1
        bucket.put(FAILED_DELIVERIES_KEY, json.dumps(counts).encode(), if_match=held.etag)
    except PreconditionFailed:
        return False
    return True


def _parsed(body: bytes) -> dict[str, int]:
    """Return the counts of an object; an object that cannot be read has none."""
    try:
        return {str(channel): int(number) for channel, number in json.loads(body).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
