"""The bucket: an object store with listing by prefix and conditional writes.

`S3Bucket` is AWS S3 or SeaweedFS. `MemoryBucket` replaces it in unit tests. Both pass the tests in
`tests/contract/bucket.py`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import JSONFileLoader

from homeprices.errors import ObjectNotFound, PreconditionFailed, StorageUnavailable

if TYPE_CHECKING:
    from pydantic import SecretStr

    from homeprices.settings import Settings

CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 30
ATTEMPTS = 3
MAX_CONNECTIONS = 8


@dataclass(frozen=True)
class Object:
    """The bytes of a key, and their entity tag for a conditional write."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class Entry:
    """One key of a listing; size in bytes."""

    key: str
    size: int
    etag: str


class Bucket(Protocol):
    """The operations of an object store that the project uses."""

    name: str

    def get(self, key: str) -> Object:
        """Return the object. Raises ObjectNotFound, StorageUnavailable."""

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Write the whole object and return its entity tag.

        `if_absent`: only if the key does not exist; `if_match`: only if the key still has this entity tag. Raises
        PreconditionFailed when the condition does not hold, StorageUnavailable.
        """

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield every key that starts with `prefix`, in order, across all pages."""

    def copy(self, source: str, target: str) -> None:
        """Copy an object inside the bucket. Raises ObjectNotFound."""

    def delete(self, key: str) -> None:
        """Delete a key. A missing key is no error."""

    def exists(self, key: str) -> bool:
        """Return whether the key exists."""


class RangedBucket(Bucket, Protocol):
    """A bucket that can read a range of an object, for objects larger than memory."""

    def get_range(self, key: str, start: int, length: int, *, if_match: str | None = None) -> bytes:
        """Return at most `length` (at least 1) bytes from `start`; fewer at the end of the object.

        `if_match`: only while the key has this entity tag. Raises ObjectNotFound, PreconditionFailed,
        StorageUnavailable.
        """


class MemoryBucket:
    """A bucket in this process's memory, for unit tests."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Object:
        with self._lock:
            if key not in self._objects:
                raise ObjectNotFound(f"{key} is not in the bucket {self.name}")
            return Object(self._objects[key], _etag(self._objects[key]))

    def get_range(self, key: str, start: int, length: int, *, if_match: str | None = None) -> bytes:
        held = self.get(key)
        if if_match is not None and held.etag != if_match:
            raise PreconditionFailed(f"{key} was changed by another writer")
        return held.body[start : start + length]

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        with self._lock:
            held = self._objects.get(key)
            if if_absent and held is not None:
                raise PreconditionFailed(f"{key} exists already")
            if if_match is not None and (held is None or _etag(held) != if_match):
                raise PreconditionFailed(f"{key} was changed by another writer")
            self._objects[key] = bytes(body)
            return _etag(body)

    def list(self, prefix: str) -> Iterator[Entry]:
        with self._lock:
            held = sorted((k, v) for k, v in self._objects.items() if k.startswith(prefix))
        return iter([Entry(key, len(body), _etag(body)) for key, body in held])

    def copy(self, source: str, target: str) -> None:
        self.put(target, self.get(source).body)

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(key, None)

    def exists(self, key: str) -> bool:
        with self._lock:
            return key in self._objects


class S3Bucket:
    """A bucket of AWS S3, or of a server that speaks its protocol."""

    def __init__(self, client: Any, name: str) -> None:
        self.name = name
        self._client = client

    def get(self, key: str) -> Object:
        return self._read(key)

    def get_range(self, key: str, start: int, length: int, *, if_match: str | None = None) -> bytes:
        condition = {"IfMatch": if_match} if if_match else {}
        return self._read(key, Range=f"bytes={start}-{start + length - 1}", **condition).body

    def _read(self, key: str, **arguments: str) -> Object:
        answer = self._call("get_object", Key=key, **arguments)
        try:
            return Object(answer["Body"].read(), answer["ETag"])
        except (BotoCoreError, OSError) as error:
            raise StorageUnavailable(f"reading {key} from the bucket {self.name} broke off: {error}") from error

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        condition = {"IfNoneMatch": "*"} if if_absent else {"IfMatch": if_match} if if_match else {}
        return str(self._call("put_object", Key=key, Body=body, **condition)["ETag"])

    def list(self, prefix: str) -> Iterator[Entry]:
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **token)
            for item in page.get("Contents", []):
                yield Entry(item["Key"], item["Size"], item["ETag"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def copy(self, source: str, target: str) -> None:
        self._call("copy_object", Key=target, CopySource={"Bucket": self.name, "Key": source})

    def delete(self, key: str) -> None:
        self._call("delete_object", Key=key)

    def exists(self, key: str) -> bool:
        try:
            self._call("head_object", Key=key)
        except ObjectNotFound:
            return False
        return True

    def create(self) -> None:
        """Create the bucket if it does not exist."""
        try:
            self._call("head_bucket")
        except ObjectNotFound:
            self._call("create_bucket")

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        key = arguments.get("Key", "")
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self.name, **arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}:
                raise ObjectNotFound(f"{key or 'the bucket'} is not there (bucket {self.name})") from error
            if code in {"412", "PreconditionFailed", "ConditionalRequestConflict"}:
                raise PreconditionFailed(f"{key} was written by another writer") from error
            raise StorageUnavailable(f"{operation} of {key} in the bucket {self.name}: {error}") from error
        except BotoCoreError as error:
            raise StorageUnavailable(f"{operation} of {key} in the bucket {self.name}: {error}") from error
        return answer


class Descriptions(JSONFileLoader):
    """Reads botocore's descriptions of a service without their documentation, which is 5 MB in each process."""

    def load_file(self, file_path: str) -> Any:
        """Return the content of a file, named without its suffix; None if there is none."""
        for suffix, opened in ((".json", Path.open), (".json.gz", gzip.open)):
            if (path := Path(file_path + suffix)).is_file():
                with opened(path, "rb") as file:
                    return json.load(file, object_pairs_hook=_without_documentation)
        return None


def _without_documentation(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: "" if name == "documentation" else value for name, value in pairs}


def open_bucket(settings: Settings) -> S3Bucket:
    """Return the bucket of the settings. Connects on first use, with timeouts, a bounded pool and three attempts.

    Raises SettingsError if neither a bucket nor an endpoint was set: AWS is asked only when somebody wants it.
    """
    settings.require("bucket", "s3_endpoint")
    session = botocore.session.Session()  # boto3 would add 2 MB to each process for nothing
    session.get_component("data_loader").file_loader = Descriptions()
    client = session.create_client(
        "s3",
        region_name=settings.aws_region,
        endpoint_url=settings.s3_endpoint,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            max_pool_connections=MAX_CONNECTIONS,
            s3={"addressing_style": "path" if settings.s3_endpoint else "auto"},
        ),
        aws_access_key_id=_shown(settings.aws_access_key_id),
        aws_secret_access_key=_shown(settings.aws_secret_access_key),
        aws_session_token=_shown(settings.aws_session_token),
    )
    return S3Bucket(client, settings.bucket)


def _shown(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
