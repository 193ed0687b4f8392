"""A bucket object as a seekable file, read in blocks and never as a whole."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from homeprices.errors import MalformedTable
from homeprices.tables.parquet_rows import MAGIC, open_parquet

if TYPE_CHECKING:
    from homeprices.adapters.object_store import RangedBucket


class ObjectFile(io.RawIOBase):
    """A read-only file over an object. Raises PreconditionFailed when the object has changed since it was opened."""

    def __init__(self, bucket: RangedBucket, key: str, etag: str, size: int) -> None:
        super().__init__()
        self._bucket, self._key, self._etag, self._size = bucket, key, etag, size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = min(max(base + offset, 0), self._size)
        return self._place

    def readinto(self, target: object) -> int:
        view = memoryview(target).cast("B")  # type: ignore[arg-type]
        wanted = min(len(view), self._size - self._place)
        if wanted <= 0:
            return 0
        piece = self._bucket.get_range(self._key, self._place, wanted, if_match=self._etag)
        view[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)


def parquet_groups(bucket: RangedBucket, key: str, etag: str, size: int) -> list[int] | None:
    """The number of rows of each row group of a Parquet file; None for a file of another format under such a name.

    Reads only the footer. Raises MalformedTable.
    """
    file = ObjectFile(bucket, key, etag, size)
    try:
        opened = open_parquet(file, key)
    except MalformedTable:
        file.seek(0)
        if file.read(len(MAGIC[0])) in MAGIC:
            raise
        return None
    with opened:
        return [opened.metadata.row_group(group).num_rows for group in range(opened.metadata.num_row_groups)]
