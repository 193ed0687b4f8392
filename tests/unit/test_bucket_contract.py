"""The bucket in memory passes what the real one passes (tests/integration/test_bucket_contract.py)."""

import pytest

from homeprices.adapters.object_store import MemoryBucket
from tests.contract.bucket import BucketContract


class TestMemoryBucket(BucketContract):
    @pytest.fixture
    def bucket(self) -> MemoryBucket:
        """A bucket in memory."""
        return MemoryBucket()
