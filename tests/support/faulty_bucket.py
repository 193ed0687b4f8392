"""Buckets that fail on purpose, wrapped around a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from homeprices.adapters.object_store import Bucket, Entry, Object, RangedBucket
from homeprices.errors import PreconditionFailed, StorageUnavailable


class Killed(BaseException):
    """The simulated death of the process; not an Exception, so that no handler catches it."""


class DyingBucket:
    """Executes `operations` operations, then raises Killed before every further one."""

    def __init__(self, bucket: RangedBucket, operations: int) -> None:
        self.name = bucket.name
        self._bucket = bucket
        self._left = operations

    def get(self, key: str) -> Object:
        self._count()
        return self._bucket.get(key)

    def get_range(self, key: str, start: int, length: int, *, if_match: str | None = None) -> bytes:
        self._count()
        return self._bucket.get_range(key, start, length, if_match=if_match)

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        self._count()
        return self._bucket.put(key, body, if_absent=if_absent, if_match=if_match)

    def list(self, prefix: str) -> Iterator[Entry]:
        self._count()
        return self._bucket.list(prefix)

    def copy(self, source: str, target: str) -> None:
        self._count()
        self._bucket.copy(source, target)

    def delete(self, key: str) -> None:
        self._count()
        self._bucket.delete(key)

    def exists(self, key: str) -> bool:
        self._count()
        return self._bucket.exists(key)

    def _count(self) -> None:
        if self._left == 0:
            self._at_the_end()
        self._left -= 1

    def _at_the_end(self) -> None:
        raise Killed


class OvertakenBucket(DyingBucket):
    """Executes `operations` operations, then calls `other`, once, before the next one."""

    def __init__(self, bucket: RangedBucket, operations: int, other: Callable[[], object]) -> None:
        super().__init__(bucket, operations)
        self._other = other
        self.overtaken = False

    def _at_the_end(self) -> None:
        self.overtaken = True
        self._other()


class LostAnswers:
    """Loses the response to every conditional PUT, so that the client's retry meets its own object."""

    def __init__(self, bucket: Bucket) -> None:
        self.name = bucket.name
        self.get, self.list, self.copy = bucket.get, bucket.list, bucket.copy
        self.delete, self.exists = bucket.delete, bucket.exists
        self._put = bucket.put

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        etag = self._put(key, body, if_absent=if_absent, if_match=if_match)
        if if_absent or if_match:
            raise PreconditionFailed(f"{key} was written by another writer")
        return etag


class AwayBucket:
    """A bucket whose server does not respond."""

    name = "away"

    def _away(self, *_: object, **__: object) -> None:
        raise StorageUnavailable("the bucket away does not answer")

    get = put = list = copy = delete = exists = _away
