"""Scoring one partition: a stream in, a stream out, and nothing that grows with the size of a file in between."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from homeprices.adapters.object_store import RangedBucket
from homeprices.batch.columns import FeatureReader
from homeprices.batch.plan import Plan
from homeprices.batch.reading import ID, batches
from homeprices.batch.results import MANIFEST, PartitionManifest, PartitionWriter
from homeprices.errors import Conflict, InvalidInput, ObjectNotFound, PreconditionFailed
from homeprices.log import get_logger
from homeprices.pricing.features import OTHER_LOCATION, Locations
from homeprices.pricing.predictor import Predictor

log = get_logger(__name__)


def done(bucket: RangedBucket, plan: Plan, number: int) -> PartitionManifest | None:
    """The manifest of a partition that was scored already."""
    try:
        body = bucket.get(plan.partition_folder(number) + MANIFEST).body
    except ObjectNotFound:
        return None
    return PartitionManifest.model_validate_json(body)


def score_partition(bucket: RangedBucket, predictor: Predictor, plan: Plan, number: int) -> PartitionManifest:
    """Score a partition, once: one that is done is not touched again, one that was broken off begins anew.

    The same plan and bundle give the same files, so an attempt that was thought dead does no harm. Raises InvalidInput
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
    for place, piece in enumerate(plan.partitions[number], start=1):
        try:
            for first_row, batch in batches(bucket, piece):
                _score(predictor, reader, writer, piece.key, first_row, batch)
        except (ObjectNotFound, PreconditionFailed):
            raise InvalidInput({piece.key: f"has changed since the job {plan.job} was planned"}) from None
        log.info(
            "scored a piece",
            file=piece.key,
            piece=f"{place} of {len(plan.partitions[number])}",
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
