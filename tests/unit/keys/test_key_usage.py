"""The use of keys, summed over routers."""

from __future__ import annotations

from datetime import UTC, datetime

from homeprices.adapters.object_store import MemoryBucket
from homeprices.keys import key_usage
from homeprices.keys.key_usage import PREFIX, KeyUse, RouterKeyUsage

EARLY, LATE = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)


def test_routers_are_summed_and_a_damaged_object_counts_nothing() -> None:
    bucket = MemoryBucket()
    for router, use in (
        ("one", KeyUse(allowed=2, limited=1, operations=1, last_used=LATE, last_operation=EARLY)),
        ("two", KeyUse(allowed=3, refused=4, last_used=EARLY)),
    ):
        usage = RouterKeyUsage(router=router, keys={"shop": use})
        bucket.put(usage.key, usage.model_dump_json().encode())
    bucket.put(f"{PREFIX}three.json", b"damaged")
    assert key_usage.read(bucket) == {
        "shop": KeyUse(allowed=5, refused=4, limited=1, operations=1, last_used=LATE, last_operation=EARLY)
    }
