"""Failed notifications are counted in the bucket, where the exporter reads them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from homeprices.adapters import notifications
from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import PreconditionFailed, StorageUnavailable
from homeprices.resources import Resources
from homeprices.settings import load_settings
from monitoring.exporter.bucket_collector import BucketCollector


@pytest.fixture
def bucket() -> MemoryBucket:
    """A bucket in memory."""
    return MemoryBucket()


def test_concurrent_failures_are_counted_by_channel() -> None:
    class Busy(MemoryBucket):
        """The first four who have read it write at the same time."""

        all_have_read = threading.Barrier(4)
        writes = 0

        def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
            Busy.writes += 1
            if Busy.writes <= 4:
                Busy.all_have_read.wait(60)
            return super().put(key, body, if_absent=if_absent, if_match=if_match)

    bucket = Busy()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: notifications.count_failed_delivery(bucket, "slack"), range(4)))
    notifications.count_failed_delivery(bucket, "email")
    assert notifications.failed_deliveries(bucket) == {"slack": 4, "email": 1}


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"slack": "many"}', b"null"])
def test_an_unreadable_count_is_zero(bucket: MemoryBucket, body: bytes) -> None:
    bucket.put(notifications.FAILED_DELIVERIES_KEY, body)
    assert notifications.failed_deliveries(bucket) == {}
    notifications.count_failed_delivery(bucket, "slack")
    assert notifications.failed_deliveries(bucket) == {"slack": 1}


@pytest.mark.parametrize("error", [StorageUnavailable("away"), PreconditionFailed("another was first")])
def test_a_count_that_cannot_be_written_is_logged_and_raises_nothing(error: Exception) -> None:
    class Broken(MemoryBucket):
        def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
            raise error

    with capture_logs() as logs:
        notifications.count_failed_delivery(Broken(), "slack")
    assert [line["event"] for line in logs] == ["failed_delivery_not_counted"]


def test_a_failed_notification_is_counted_in_the_bucket_and_shown_by_the_exporter(bucket: MemoryBucket) -> None:
    resources = Resources(load_settings({"SLACK_WEBHOOK_URL": "http://127.0.0.1:9/hook"}, ()), bucket)
    resources.notifier._undelivered("slack")
    shown = {
        sample.labels["channel"]: sample.value
        for sample in BucketCollector(bucket).collect()
        if sample.name == "homeprices_notifications_failed"
    }
    assert shown == {"slack": 1, "email": 0}
