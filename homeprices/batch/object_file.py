"""A bucket object as a seekable file, read in blocks and never as a whole."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from homeprices.errors import InvalidInput

if TYPE_CHECKING:
    from homeprices.adapters.object_store import RangedBucket

BLOCK_BYTES = 4 * 2**20
"""Large enough to make the latency of a request negligible; buffers for ten columns take 40 MiB."""


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


def open_parquet(bucket: RangedBucket, key: str, etag: str, size: int) -> pq.ParquetFile:
    """A Parquet file of the bucket, its columns read through buffers of BLOCK_BYTES. Raises InvalidInput."""
    try:
        return pq.ParquetFile(ObjectFile(bucket, key, etag, size), buffer_size=BLOCK_BYTES, pre_buffer=False)
    except pa.ArrowInvalid as error:
        raise InvalidInput({key: f"is no Parquet file: {str(error).splitlines()[0]}"}) from None


def parquet_groups(bucket: RangedBucket, key: str, etag: str, size: int) -> list[int]:
    """The number of rows of each row group of a Parquet file; reads only the file's footer."""
    with open_parquet(bucket, key, etag, size) as file:
        return [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
