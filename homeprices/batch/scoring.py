"""Scores one partition as a stream, in memory that does not depend on the size of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from homeprices.adapters.object_store import RangedBucket
from homeprices.batch.feature_reader import FeatureReader
from homeprices.batch.object_file import ObjectFile
from homeprices.batch.plan import Plan, Slice
from homeprices.batch.results import PartitionManifest, PartitionWriter
from homeprices.errors import Conflict, InvalidInput, ObjectNotFound, PreconditionFailed
from homeprices.log import get_logger
from homeprices.pricing.features import OTHER_LOCATION, Locations
from homeprices.pricing.inputs import OPTIONAL, REQUIRED
from homeprices.pricing.manifest import MANIFEST_FILE
from homeprices.pricing.predictor import Predictor
from homeprices.tables.reader import Block, open_table

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
            for block in blocks(bucket, piece):
                _score(predictor, reader, writer, piece.key, block)
        except (ObjectNotFound, PreconditionFailed):
            raise InvalidInput({piece.key: f"has changed since the job {plan.job} was planned"}) from None
        log.info(
            "slice_scored",
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
    block: Block,
) -> None:
    batch = as_batch(block)
    features = reader.read(batch, block.faults)
    writer.refuse(key, block.first_row, features.refused, None if block.batch else block.lines)
    if not len(features.rows):
        return
    prices, low, high = predictor.price_columns(features.columns)
    location = pa.array(features.columns["location"], pa.string()).dictionary_encode()
    columns = {
        "file": pa.DictionaryArray.from_arrays(np.zeros(len(prices), dtype=np.int32), [key]),
        "row": features.rows + block.first_row,
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


def blocks(bucket: RangedBucket, piece: Slice) -> Iterator[Block]:
    """The rows of a slice, with their numbers and lines in the file.

    Raises DatasetRefused that names the file, line and column; PreconditionFailed when the file has changed since it
    was planned.
    """
    file = ObjectFile(bucket, piece.key, piece.etag, piece.size)
    groups = range(piece.first_group, piece.first_group + piece.groups) if piece.groups else None
    table = open_table(file, piece.key, COLUMNS, groups=groups, block_rows=BATCH_ROWS)
    if table.names:
        table.require(REQUIRED)
    for note in table.notes:
        log.warning("table_read", note=note)
    for block in table.blocks:
        if not table.names and not block.first_row and not block.faults:
            table.require(REQUIRED, block.names)
        yield block


def as_batch(block: Block) -> pa.RecordBatch:
    """The columns of a block that are inputs, blank text as missing; one of several types becomes text."""
    if block.batch is not None:
        return block.batch
    names = [name for name in COLUMNS if name in block.names]
    if not names:
        return pa.RecordBatch.from_pydict({ID: pa.nulls(len(block), pa.string())})
    return pa.RecordBatch.from_arrays([_array(block.column(name)) for name in names], names)


def _array(cells: Sequence[Any]) -> pa.Array:
    try:
        array = pa.array(cells)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        array = pa.array([cell if cell is None or isinstance(cell, str) else json.dumps(cell) for cell in cells])
    if pa.types.is_null(array.type):
        return array.cast(pa.string())
    return pc.if_else(pc.equal(array, ""), None, array) if pa.types.is_string(array.type) else array
