"""The server of the exporter's process: metrics and the page at one port, and keys that are read when one is sent."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry, Gauge, make_wsgi_app

from homeprices.adapters.object_store import MemoryBucket, Object
from homeprices.errors import StorageUnavailable
from homeprices.keys import key_ring
from homeprices.keys.key_cache import POLL_SECONDS
from homeprices.keys.key_check import REVOKED, UNKNOWN, VerifiedKey
from homeprices.resources import Resources
from homeprices.settings import load_settings
from monitoring.operations.server import KeysOnDemand, open_operations, serving, with_metrics
from tests.support.operations import application, trial_parts


class CountedBucket(MemoryBucket):
    """Counts its readings; `away` makes them fail."""

    reads, away = 0, False

    def get(self, key: str) -> Object:
        self.reads += 1
        if self.away:
            raise StorageUnavailable("the bucket does not answer")
        return super().get(key)


def test_metrics_and_the_page_have_one_port() -> None:
    registry = CollectorRegistry()
    Gauge("answer", "of all questions", registry=registry).set(42)
    with serving(with_metrics(application(trial_parts()), make_wsgi_app(registry)), "127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}"
        assert "answer 42.0" in httpx.get(f"{url}/metrics").text
        assert httpx.get(f"{url}/api/status").json()["ok"] is True
        assert "Operations" in httpx.get(f"{url}/operations").text
        assert "answer 42.0" in httpx.get(f"{url}/operations-of-others").text  # as before, at every other path


def test_before_the_first_request_nothing_is_read(tmp_path: Path) -> None:
    bucket = CountedBucket()
    settings = load_settings({"HOMEPRICES_STATE_DIR": str(tmp_path)}, ())
    with serving(open_operations(Resources(settings, bucket)), "127.0.0.1", 0):
        assert bucket.reads == 0


def test_a_key_is_checked_against_a_ring_of_some_seconds_ago(tmp_path: Path) -> None:
    bucket, now = CountedBucket(), [0.0]
    check = KeysOnDemand(bucket, tmp_path / "keys.json", lambda: now[0])
    assert bucket.reads == 0
    made = key_ring.create(bucket, ["operate"], "10/s", timedelta(days=1), "test")
    header = f"Bearer {made.text}"
    assert check(header) == VerifiedKey(made.key.id, frozenset({"operate"}))
    key_ring.revoke(bucket, made.key.id, "test")
    now[0] = POLL_SECONDS
    assert check(header) == REVOKED
    reads = bucket.reads
    assert check("Bearer hp_" + "0" * 3) != UNKNOWN
    assert bucket.reads == reads


def test_while_the_bucket_is_away_the_last_ring_holds(tmp_path: Path) -> None:
    bucket, now = CountedBucket(), [0.0]
    made = key_ring.create(bucket, ["operate"], "10/s", timedelta(days=1), "test")
    check = KeysOnDemand(bucket, tmp_path / "keys.json", lambda: now[0])
    assert isinstance(check(f"Bearer {made.text}"), VerifiedKey)
    bucket.away, now[0] = True, POLL_SECONDS
    assert isinstance(check(f"Bearer {made.text}"), VerifiedKey)
