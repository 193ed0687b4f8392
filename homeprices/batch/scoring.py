"""Scores one partition as a stream, in memory that does not depend on the size of a file."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from homeprices.adapters.object_store import RangedBucket
from homeprices.batch.feature_reader import FeatureReader
from homeprices.batch.object_file import BLOCK_BYTES, ObjectFile, open_parquet
from homeprices.batch.plan import Plan, Slice
from homeprices.batch.results import PartitionManifest, PartitionWriter
from homeprices.errors import Conflict, InvalidInput, ObjectNotFound, PreconditionFailed
from homeprices.log import get_logger
from homeprices.pricing.features import OTHER_LOCATION, Locations
from homeprices.pricing.inputs import OPTIONAL, REQUIRED
from homeprices.pricing.manifest import MANIFEST_FILE
from homeprices.pricing.predictor import Predictor

log = get_logger(__name__)


def done(bucket: RangedBucket, plan: Plan, number: int) -> PartitionManifest | None:
    """The manifest of a scored partition; None before."""
    try:
        body = bucket.get(plan.partition_folder(number) + MANIFEST_FILE).body
    except ObjectNotFound:
        return None
    return PartitionManifest.model_validate_json(body)


def score_partition(bucket: RangedBucket, predictor: Predictor, plan: Plan, number: int) -> PartitionManifest:
    """Score a partition and return its manifest. A finished partition is left alone; an interrupted one starts over.

    The same plan and bundle give the same files, so a late second attempt does no harm. Raises InvalidInput
    when a file cannot be read or has changed, Conflict when the predictor has another version than the plan.
    """
    if not 0 <= number < len(plan.partitions):
        raise InvalidInput({"partition": f"{number} is not one of 0 to {len(plan.partitions) - 1}"})
    if predictor.version != plan.version:
        raise Conflict(f"the job {plan.job} scores with {plan.version}, not {predictor.version}")
    if (earlier := done(bucket, plan, number)) is not None:
        return earlier
    reader = FeatureReader(Locations(predictor.locations))
    writer = PartitionWriter(bucket, plan.partition_folder(number))
    for position, piece in enumerate(plan.partitions[number], start=1):
        try:
            for first_row, batch in batches(bucket, piece):
                _score(predictor, reader, writer, piece.key, first_row, batch)
        except (ObjectNotFound, PreconditionFailed):
            raise InvalidInput({piece.key: f"has changed since the job {plan.job} was planned"}) from None
        log.info(
            "scored a piece",
            file=piece.key,
            piece=f"{position} of {len(plan.partitions[number])}",
            estimated=writer.estimated,
            refused=writer.refused,
        )
    return writer.commit(number, plan.version)


def _score(
    predictor: Predictor,
    reader: FeatureReader,
    writer: PartitionWriter,
    key: str,
    first_row: int,
    batch: pa.RecordBatch,
) -> None:
    features = reader.read(batch)
    writer.refuse(key, first_row, features.refused)
    if not len(features.rows):
        return
    prices, low, high = predictor.price_columns(features.columns)
    location = pa.array(features.columns["location"], pa.string()).dictionary_encode()
    columns = {
        "file": pa.DictionaryArray.from_arrays(np.zeros(len(prices), dtype=np.int32), [key]),
        "row": features.rows + first_row,
        "estimated_price": prices,
        "low": low,
        "high": high,
        "location": location,
        "location_known": features.columns["location"] != OTHER_LOCATION,
    }
    if ID in batch.schema.names:
        columns[ID] = batch.column(ID).take(pa.array(features.rows)).cast(pa.string())
    else:
        columns[ID] = pa.nulls(len(prices), pa.string())
    writer.add(pa.table(columns))


BATCH_ROWS = 32_768
"""Makes the fixed cost of a model call negligible; a batch of eight columns takes about 2 MB."""

ID = "id"
"""A column that is copied to the results, so that they can be joined."""

COLUMNS = (*REQUIRED, *OPTIONAL, ID)


def batches(bucket: RangedBucket, piece: Slice) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of a slice as record batches, each with the row number of its first row in the file.

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
    """Every column as text, blank for missing, so that an invalid number refuses its row and not the file."""
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
