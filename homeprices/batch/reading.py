"""The rows of a slice as a stream of record batches, of the columns that an estimate can use."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pa_csv

from homeprices.adapters.object_store import RangedBucket
from homeprices.batch.objects import BLOCK_BYTES, ObjectFile, open_parquet
from homeprices.batch.plan import Slice
from homeprices.errors import InvalidInput
from homeprices.pricing.features import OPTIONAL, REQUIRED

BATCH_ROWS = 32_768
"""Enough that the model's cost a call vanishes; a batch of eight columns is some 2 MB."""

ID = "id"
"""A column that is carried over as it is, so that results can be joined without counting rows."""

COLUMNS = (*REQUIRED, *OPTIONAL, ID)


def batches(bucket: RangedBucket, piece: Slice) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Record batches with the number, in the file, of the first row of each.

    Raises InvalidInput that names the file, and the column that it lacks or what is wrong with it;
    PreconditionFailed when the file has changed since it was planned.
    """
    read = _parquet if piece.format == "parquet" else _csv
    row = piece.first_row
    try:
        for batch in read(bucket, piece):
            yield row, batch
            row += batch.num_rows
    except pa.ArrowException as error:
        raise InvalidInput({piece.key: f"cannot be read after row {row:,}: {str(error).splitlines()[0]}"}) from None


def _parquet(bucket: RangedBucket, piece: Slice) -> Iterator[pa.RecordBatch]:
    with open_parquet(bucket, piece.key, piece.etag, piece.size) as file:
        columns = _wanted(piece.key, file.schema_arrow.names)
        groups = range(piece.first_group, piece.first_group + piece.groups)
        yield from file.iter_batches(BATCH_ROWS, row_groups=list(groups), columns=columns, use_threads=False)


def _csv(bucket: RangedBucket, piece: Slice) -> Iterator[pa.RecordBatch]:
    """Every column as text, blank for missing: a number that is none refuses its row, not the file."""
    raw = ObjectFile(bucket, piece.key, piece.etag, piece.size)
    header = io.TextIOWrapper(io.BufferedReader(raw, BLOCK_BYTES), encoding="utf-8-sig", errors="replace").readline()
    raw = ObjectFile(bucket, piece.key, piece.etag, piece.size)
    names = [name.strip().strip('"') for name in header.rstrip("\r\n").split(",")]
    columns = _wanted(piece.key, names)
    reader = pa_csv.open_csv(
        pa.PythonFile(io.BufferedReader(raw, BLOCK_BYTES), "r"),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=columns,
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=True,
        ),
    )
    for batch in reader:
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)


def _wanted(key: str, names: list[str]) -> list[str]:
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        found = ", ".join(name[:40] for name in names[:20])
        raise InvalidInput({key: f"has no column {', '.join(missing)}; it has {found}"})
    return [name for name in COLUMNS if name in names]
