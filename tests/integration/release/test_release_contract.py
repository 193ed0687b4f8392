"""The release contract on SeaweedFS."""

import pytest

from homeprices.adapters.object_store import S3Bucket
from tests.contract.release import ReleaseContract, drafts  # noqa: F401


class TestOnSeaweedFS(ReleaseContract):
    kill_every = 13

    @pytest.fixture
    def bucket(self, s3: S3Bucket) -> S3Bucket:
        """A real bucket of the module."""
        for entry in s3.list(""):
            s3.delete(entry.key)
        return s3
