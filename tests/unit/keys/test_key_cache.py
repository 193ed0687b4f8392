"""The local copy: it follows the bucket, holds while the bucket is away, and is private."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from homeprices.adapters.object_store import MemoryBucket, Object
from homeprices.errors import StorageUnavailable
from homeprices.keys import key_ring
from homeprices.keys.key_cache import POLL_SECONDS, KeyCache
from homeprices.keys.key_ring import KeyRing, NewKey


class Away(MemoryBucket):
    """A bucket that may be away."""

    away = False
    error: Exception = StorageUnavailable("the bucket is away")

    def get(self, key: str) -> Object:
        if self.away:
            raise self.error
        return super().get(key)


def create(bucket: MemoryBucket) -> NewKey:
    return key_ring.create(bucket, ["predict"], "20/s", timedelta(days=1), "person:me")


@pytest.fixture
def bucket() -> Away:
    """An empty bucket."""
    return Away()


def test_a_change_is_told_once(bucket: Away, tmp_path: Path) -> None:
    rings: list[KeyRing] = []
    cache = KeyCache(bucket, tmp_path / "keys.json", 60, rings.append)
    made = create(bucket)
    for _ in range(3):
        cache.poll()
    assert rings == [KeyRing(), KeyRing(keys=(made.key,))]
    key_ring.revoke(bucket, made.key.id, "person:me")
    cache.poll()
    assert [key.state(key_ring.utc_now()) for key in cache.ring.keys] == ["revoked"]


def test_the_copy_holds_while_the_bucket_is_away_and_after_a_restart(bucket: Away, tmp_path: Path) -> None:
    file = tmp_path / "instance" / "keys.json"
    made = create(bucket)
    KeyCache(bucket, file, 60).poll()
    assert file.stat().st_mode & 0o777 == 0o600
    bucket.away = True
    again = KeyCache(bucket, file, 60)
    with capture_logs() as logs:
        for _ in range(3):
            again.poll()
    assert [line["event"] for line in logs] == ["key_ring_unavailable"]
    assert again.ring.keys == (made.key,)
    bucket.away = False
    key_ring.revoke(bucket, made.key.id, "person:me")
    again.poll()
    assert again.ring.keys[0].revoked_at is not None


def test_no_error_ends_the_polling(bucket: Away, tmp_path: Path) -> None:
    cache = KeyCache(bucket, tmp_path / "keys.json", 60)
    bucket.away, bucket.error = True, RuntimeError("a fault of the client library")
    cache.poll()
    bucket.away = False
    made = create(bucket)
    cache.poll()
    assert cache.ring.keys == (made.key,)


def test_a_deleted_ring_ends_all_keys_and_a_damaged_one_none(bucket: Away, tmp_path: Path) -> None:
    made = create(bucket)
    cache = KeyCache(bucket, tmp_path / "keys.json", 60)
    cache.poll()
    bucket.put(key_ring.KEY, b"damaged")
    cache.poll()
    assert cache.ring.keys == (made.key,)
    bucket.delete(key_ring.KEY)
    cache.poll()
    assert cache.ring == KeyRing()


def test_a_disk_that_takes_nothing_keeps_no_revocation_back(bucket: Away, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = KeyCache(bucket, tmp_path / "file" / "keys.json", 60)
    made = create(bucket)
    cache.poll()
    assert cache.ring.keys == (made.key,)


def test_a_long_poll_interval_of_models_does_not_delay_a_revocation(bucket: Away, tmp_path: Path) -> None:
    assert KeyCache(bucket, tmp_path / "keys.json", 600)._poll_seconds == POLL_SECONDS < 5
