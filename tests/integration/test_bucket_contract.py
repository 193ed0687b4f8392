"""SeaweedFS passes the bucket's contract, and a server that is away is said to be so."""

from collections.abc import Callable

import pytest

from homeprices.adapters.object_store import S3Bucket, open_bucket
from homeprices.errors import ObjectNotFound, StorageUnavailable
from homeprices.settings import Settings, load_settings
from tests.contract.bucket import BucketContract
from tests.support.free_ports import free_ports


class TestSeaweedFS(BucketContract):
    @pytest.fixture
    def bucket(self, s3: S3Bucket) -> S3Bucket:
        """A real bucket of the module."""
        return s3


def settings_for(port: int) -> Settings:
    return load_settings(
        {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        },
        files=(),
    )


@pytest.fixture
def nobody() -> int:
    """A port that nothing listens on."""
    return free_ports(1)[0]


@pytest.mark.parametrize(
    "operation",
    [
        lambda bucket: bucket.get("key"),
        lambda bucket: bucket.put("key", b"", if_absent=True),
        lambda bucket: list(bucket.list("")),
        lambda bucket: bucket.copy("key", "other"),
        lambda bucket: bucket.delete("key"),
        lambda bucket: bucket.exists("key"),
    ],
    ids=["get", "put", "list", "copy", "delete", "exists"],
)
def test_every_operation_says_that_the_server_is_away(operation: Callable[[S3Bucket], object], nobody: int) -> None:
    with pytest.raises(StorageUnavailable, match="bucket homeprices"):
        operation(open_bucket(settings_for(nobody)))


def test_a_bucket_that_does_not_exist_is_not_found_until_it_is_created(s3_settings: dict[str, str]) -> None:
    bucket = open_bucket(load_settings({**s3_settings, "MLFLOW_S3_BUCKET": "not-there-yet"}, files=()))
    with pytest.raises(ObjectNotFound):
        bucket.get("key")
    bucket.create()
    bucket.create()
    bucket.put("key", b"x")
    assert bucket.get("key").body == b"x"
