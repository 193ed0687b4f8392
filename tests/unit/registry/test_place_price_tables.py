"""The bucket in memory keeps the contract of tables of place prices, and a table is bounded."""

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import BundleRefused
from homeprices.registry import place_price_tables as tables
from tests.contract.place_prices import DATASET, PlacePriceContract, day


class TestMemoryBucket(PlacePriceContract):
    @pytest.fixture
    def bucket(self) -> MemoryBucket:
        """A bucket in memory."""
        return MemoryBucket()


def test_a_table_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = MemoryBucket()
    tables.publish(bucket, day(0), **DATASET)
    monkeypatch.setattr(tables, "MOST_BYTES", 100)
    with pytest.raises(BundleRefused, match="at most 100 are taken"):
        tables.newest(bucket)
