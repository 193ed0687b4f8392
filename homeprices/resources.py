"""The settings, bucket, database and notifier of a process; each opens on first use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from homeprices.adapters.object_store import Bucket, open_bucket
from homeprices.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from homeprices.adapters.notifications import Notifier


@dataclass(frozen=True)
class Resources:
    """The settings and the resources that they name. Tests pass a bucket."""

    settings: Settings
    given_bucket: Bucket | None = None

    @cached_property
    def bucket(self) -> Bucket:
        """The bucket of the settings."""
        return self.given_bucket or open_bucket(self.settings)

    @cached_property
    def engine(self) -> Engine:
        """A pool of connections to the homeprices database."""
        from homeprices.adapters.database import open_engine

        return open_engine(self.settings)

    @cached_property
    def notifier(self) -> Notifier:
        """The notifier; failed deliveries are counted in the bucket."""
        from homeprices.adapters import notifications
        from homeprices.adapters.notifications import open_notifier

        return open_notifier(self.settings, lambda channel: notifications.count_failed_delivery(self.bucket, channel))


def open_resources() -> Resources:
    """Return the resources of this process, from its environment. Raises SettingsError."""
    return Resources(load_settings())
