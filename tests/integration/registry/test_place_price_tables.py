"""SeaweedFS keeps the contract of tables of place prices."""

import pytest

from homeprices.adapters.object_store import S3Bucket
from homeprices.registry.place_price_tables import PREFIX
from tests.contract.place_prices import PlacePriceContract


class TestSeaweedFS(PlacePriceContract):
    @pytest.fixture
    def bucket(self, s3: S3Bucket) -> S3Bucket:
        """A real bucket without tables."""
        for entry in list(s3.list(PREFIX)):
            s3.delete(entry.key)
        return s3
