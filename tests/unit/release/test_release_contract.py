"""The release contract on the bucket in memory; tests/integration/release runs it on SeaweedFS."""

import pytest

from homeprices.adapters.object_store import MemoryBucket
from tests.contract.release import ReleaseContract, drafts  # noqa: F401


class TestInMemory(ReleaseContract):
    @pytest.fixture
    def bucket(self) -> MemoryBucket:
        """A bucket in memory."""
        return MemoryBucket()
