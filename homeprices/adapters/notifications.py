"""Notices to people: a Slack webhook, e-mail, both, or neither.

A notice tells of what has happened already, so its failure changes no outcome: it is tried three times, logged and
counted, and the caller goes on.
"""

from __future__ import annotations

import json
import smtplib
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import TYPE_CHECKING, Protocol

import httpx

from homeprices.adapters.object_store import Bucket
from homeprices.errors import HomePricesError, ObjectNotFound, PreconditionFailed
from homeprices.log import get_logger

if TYPE_CHECKING:
    from homeprices.settings import Settings


CHANNELS = ("slack", "email")
PAUSES_SECONDS = (1.0, 3.0)  # between three attempts
TIMEOUT_SECONDS = 10.0
SMTPS_PORT = 465  # TLS from the first byte; on any other port the connection is upgraded when the server offers it


@dataclass(frozen=True)
class Notification:
    """What is told: a title of one line, a few sentences, and a page with more."""

    title: str
    text: str
    link: str | None = None


class DeliveryFailed(Exception):
    """A channel did not take a notice. Never carries a secret: a webhook's address is one."""


class Channel(Protocol):
    """A way to reach people."""

    @property
    def name(self) -> str:
        """What failures are counted under."""

    def deliver(self, notice: Notification) -> None:
        """Hand the notice over. Raises DeliveryFailed."""


@dataclass(frozen=True)
class Slack:
    """An incoming webhook."""

    webhook_url: str = field(repr=False)
    name: str = "slack"

    def deliver(self, notice: Notification) -> None:
        lines = [f"*{_slack(notice.title)}*", _slack(notice.text)]
        if notice.link:
            lines.append(f"<{_slack(notice.link)}|More about it>")
        try:
            answer = httpx.post(self.webhook_url, json={"text": "\n".join(lines)}, timeout=TIMEOUT_SECONDS)
        except httpx.HTTPError as error:
            raise DeliveryFailed(f"the webhook does not answer: {type(error).__name__}") from error
        if not answer.is_success:
            raise DeliveryFailed(f"the webhook answered {answer.status_code}: {answer.text[:100]}")


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

    def deliver(self, notice: Notification) -> None:
        message = EmailMessage()
        message["Subject"] = " ".join(notice.title.split())
        message["From"] = self.sender
        message["To"] = self.recipients
        message.set_content("\n\n".join(part for part in (notice.text, notice.link) if part))
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
    """Sends each notice through every channel; with none, it says so in the log and nowhere else.

    `undelivered` is called with the name of a channel that did not take a notice at any attempt.
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

    def send(self, notice: Notification) -> dict[str, bool]:
        """Whether each channel took the notice. Never raises for one that did not."""
        if not self._channels:
            get_logger().info("notice_without_channel", title=notice.title, text=notice.text)
        return {channel.name: self._deliver(channel, notice) for channel in self._channels}

    def _deliver(self, channel: Channel, notice: Notification) -> bool:
        log = get_logger().bind(channel=channel.name, title=notice.title)
        for pause in (*PAUSES_SECONDS, None):
            try:
                channel.deliver(notice)
            except DeliveryFailed as error:
                log.warning("notice_not_taken", problem=str(error))
            else:
                return True
            if pause is not None:
                self._sleep(pause)
        self.failures[channel.name] += 1
        self._undelivered(channel.name)
        log.error("notice_failed", attempts=len(PAUSES_SECONDS) + 1)
        return False


def open_notifier(settings: Settings, undelivered: Callable[[str], object] = lambda _: None) -> Notifier:
    """The channels that the settings name: a webhook, a mail server with a recipient, both, or none."""
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
    """Slack's three control characters, escaped (docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# How many notices no attempt could deliver, by channel, in the bucket: processes that tell people live for minutes.


FAILED_DELIVERIES_KEY = "control/undelivered.json"
ATTEMPTS = 10  # to be the only writer at one moment

log = get_logger(__name__)


def count_failed_delivery(bucket: Bucket, channel: str) -> None:
    """Count a notice that a channel did not take. Never raises: a notice changes no outcome, nor does its count."""
    try:
        for _ in range(ATTEMPTS):
            if _add(bucket, channel):
                return
        log.warning("an undelivered notice is not counted", channel=channel, error="other writers were always first")
    except HomePricesError as error:
        log.warning("an undelivered notice is not counted", channel=channel, error=str(error))


def failed_deliveries(bucket: Bucket) -> dict[str, int]:
    """The counts so far, by channel. Raises StorageUnavailable."""
    try:
        return _parsed(bucket.get(FAILED_DELIVERIES_KEY).body)
    except ObjectNotFound:
        return {}


def _add(bucket: Bucket, channel: str) -> bool:
    """Whether nobody else wrote in between."""
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
    """What somebody else has written there counts nothing."""
    try:
        return {str(channel): int(number) for channel, number in json.loads(body).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
