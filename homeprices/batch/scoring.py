"""Scores one partition as a stream, in memory that does not depend on the size of a file."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from homeprices.adapters.object_store import RangedBucket
from homeprices.batch.feature_reader import FeatureReader
from homeprices.batch.object_file import ObjectFile
from homeprices.batch.plan import Plan, Slice
from homeprices.batch.results import PartitionManifest, PartitionWriter
from homeprices.data.columns import converted_areas, unit_columns
from homeprices.errors import Conflict, DatasetRefused, InvalidInput, ObjectNotFound, PreconditionFailed
from homeprices.foreign_text import printable
from homeprices.log import get_logger
from homeprices.pricing.features import OTHER_LOCATION, Locations
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import AREA, INPUT, INPUTS, LOCATION, NUMBERS, OPTIONAL, REQUIRED, TEXTS
from homeprices.pricing.manifest import MANIFEST_FILE
from homeprices.pricing.predictor import Predictor
from homeprices.tables.blocks import Block, Fault
from homeprices.tables.commas import CommaColumn, has_commas, pointed, text_of_number
from homeprices.tables.quantities import UNIT_COLUMNS
from homeprices.tables.ratios import OF_HOMES, Floats, RatioCounts, refusals
from homeprices.tables.reader import Table, open_table

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
    for read_twice in (False, True):
        writer = PartitionWriter(bucket, plan.partition_folder(number))
        try:
            _score_slices(bucket, predictor, writer, plan, number, read_twice)
        except _DecimalComma:
            writer.discard()
        except DatasetRefused:  # as every attempt is, because the plan names the content: none has committed a result
            writer.discard()
            raise
        else:
            break
    return writer.commit(number, plan.version)


class _DecimalComma(Exception):
    """A cell has a comma that can only be a decimal one. Only the whole column shows how it is to be read."""


def _score_slices(
    bucket: RangedBucket, predictor: Predictor, writer: PartitionWriter, plan: Plan, number: int, read_twice: bool
) -> None:
    """Score the slices. Raises _DecimalComma for the first decimal comma, unless every file of text is read twice."""
    reader = FeatureReader(Locations(predictor.locations))
    for position, piece in enumerate(plan.partitions[number], start=1):
        try:
            commas = _decimal_commas(bucket, piece) if read_twice and piece.format == "csv" else {}
            table = open_slice(bucket, piece)
            for note in (*_notes(table), *commas.values()):
                log.warning("table_read", note=note)
                writer.note(note)
            counts, rows = RatioCounts(OF_HOMES), 0
            for block in table.blocks:
                if not table.names and not block.first_row and not block.faults:
                    table.require(REQUIRED, block.names)
                if piece.format == "csv" and not read_twice and _has_commas(block):
                    raise _DecimalComma
                measured = _score(predictor, reader, writer, piece.key, _with_points(block, commas))
                counts.add(measured, block.lines)
                rows += len(block)
            if not rows:
                writer.note(f"{piece.key}: holds a header and no row")
            _judge(counts, piece.key, writer)
        except (ObjectNotFound, PreconditionFailed):
            raise InvalidInput({piece.key: f"has changed since the job {plan.job} was planned"}) from None
        log.info(
            "slice_scored",
            file=piece.key,
            piece=f"{position} of {len(plan.partitions[number])}",
            estimated=writer.estimated,
            refused=writer.refused,
        )


def _score(
    predictor: Predictor,
    reader: FeatureReader,
    writer: PartitionWriter,
    key: str,
    block: Block,
) -> Mapping[str, Floats]:
    """Write the estimates and the refused rows of a block; return what its table is judged by."""
    batch, faults = as_batch(block)
    features = reader.read(batch, faults)
    writer.refuse(key, block.first_row, features.refused, None if block.batch else block.lines)
    if not len(features.rows):
        return features.measured
    changes = _price_changes(predictor, batch, features.rows)
    prices, low, high = predictor.price_columns(features.columns, changes)
    location = pa.array(features.columns[LOCATION], pa.string()).dictionary_encode()
    columns = {
        "file": pa.DictionaryArray.from_arrays(np.zeros(len(prices), dtype=np.int32), [key]),
        "row": features.rows + block.first_row,
        "estimated_price": prices,
        "low": low,
        "high": high,
        "location": location,
        "location_known": features.columns[LOCATION] != OTHER_LOCATION,
    }
    if ID in batch.schema.names:
        columns[ID] = batch.column(ID).take(pa.array(features.rows)).cast(pa.string())
    else:
        columns[ID] = pa.nulls(len(prices), pa.string())
    writer.add(pa.table(columns))
    return features.measured


def _price_changes(predictor: Predictor, batch: pa.RecordBatch, rows: Any) -> Any:
    """The change of the price level of the place of each of these rows, computed once for each spelling."""
    if predictor.place_prices_as_of is None:
        return 1.0
    places = batch.column(LOCATION).take(pa.array(rows)).cast(pa.string()).dictionary_encode()
    changes = np.array([predictor.price_change(place) for place in places.dictionary.to_pylist()])
    return changes[places.indices.to_numpy()]


def _judge(counts: RatioCounts, key: str, writer: PartitionWriter) -> None:
    """Note the homes that cannot be. Raises DatasetRefused when they are too many: then no partition is committed."""
    outside = counts.outside()
    if refused := refusals(outside):
        raise DatasetRefused({key: "; ".join(f"{column}: {sentence}" for column, sentence in refused.items())})
    for one in outside:
        writer.note(f"{key}: {one.ratio.column}: {one.sentence()}")


BATCH_ROWS = 32_768
"""Makes the fixed cost of a model call negligible; a batch of eight columns takes about 2 MB."""

ID = "id"
"""A column that is copied to the results, so that they can be joined."""

UNITS = UNIT_COLUMNS.get(AREA, frozenset())
_NAMES_SHOWN = 20
COLUMNS = (*REQUIRED, *OPTIONAL, ID, *sorted(UNITS))


def open_slice(bucket: RangedBucket, piece: Slice) -> Table:
    """The table of a slice, with the numbers and lines of its rows in the file.

    Raises DatasetRefused that names the file, line and column; PreconditionFailed when the file has changed since it
    was planned.
    """
    file = ObjectFile(bucket, piece.key, piece.etag, piece.size)
    groups = range(piece.first_group, piece.first_group + piece.groups) if piece.groups else None
    table = open_table(file, piece.key, COLUMNS, groups=groups, block_rows=BATCH_ROWS)
    if table.names:
        table.require(REQUIRED)
    return table


def _texts(block: Block, name: str) -> list[str]:
    return [*map(text_of_number, block.column(name))]


def _has_commas(block: Block) -> bool:
    """Whether a cell of a column of numbers has a decimal comma. Looks at each cell of a long file, so it is quick."""
    for name in NUMBERS:
        if name in block.names:
            cells = block.column(name)
            texts = cells if block.columns is not None else [cell for cell in cells if type(cell) is str]
            if "," in "".join(texts) and has_commas(name, _texts(block, name)):
                return True
    return False


def _decimal_commas(bucket: RangedBucket, piece: Slice) -> dict[str, str]:
    """The columns of a file with decimal commas, and a sentence for each. Raises DatasetRefused for mixed forms."""
    columns = {name: CommaColumn(name) for name in NUMBERS}
    for block in open_slice(bucket, piece).blocks:
        for name in set(columns) & set(block.names):
            columns[name].add(_texts(block, name), block.lines)
    try:
        found = {name: column.judge() for name, column in columns.items()}
    except DatasetRefused as error:
        problems = "; ".join(f"{name}: {sentence}" for name, sentence in error.fields.items())
        raise DatasetRefused({piece.key: problems}) from None
    return {name: f"{piece.key}: {note}" for name, note in found.items() if note}


def _with_points(block: Block, names: Collection[str]) -> Block:
    """The block with decimal points in these columns."""
    for name in {*names} & {*block.names}:
        cells = [pointed(name, cell) if isinstance(cell, str) else cell for cell in block.column(name)]
        if block.columns is not None:
            block = replace(block, columns={**block.columns, name: cells})
        elif block.objects is not None:
            for row, cell in zip(block.objects, cells, strict=True):
                if name in row:
                    row[name] = cell
    return block


def _notes(table: Table) -> Iterator[str]:
    yield from table.notes
    if (unit := unit_columns(table.names).get(AREA)) is not None:
        yield f"{table.source}: {unit}: honoured as the unit of {AREA}"
    if ignored := [name for name in table.names if name not in COLUMNS or (name in UNITS and name != unit)]:
        shown = ", ".join(printable(name) for name in ignored[:_NAMES_SHOWN])
        yield f"{table.source}: ignored columns: {shown}{' ...' if len(ignored) > _NAMES_SHOWN else ''}"


def as_batch(block: Block) -> tuple[pa.RecordBatch, dict[int, Fault]]:
    """The inputs of a block, blank text as missing, areas in square feet, and the faults of its rows.

    A column of several types becomes text.
    """
    unit, faults = unit_columns(block.names).get(AREA), dict(block.faults)
    areas = None
    if unit is not None and AREA in block.names:
        areas, wrong = converted_areas(block.column(AREA), block.column(unit), unit)
        faults = wrong | faults
    if block.batch is not None:
        batch = block.batch
        if areas is not None:
            batch = batch.set_column(batch.schema.get_field_index(AREA), AREA, _array(areas))
        return batch, faults
    names = [name for name in COLUMNS if name in block.names]
    if not names:
        return pa.RecordBatch.from_pydict({ID: pa.nulls(len(block), pa.string())}), faults
    columns = [areas if name == AREA and areas is not None else block.column(name) for name in names]
    if block.objects is not None:
        for name, cells in zip(names, columns, strict=True):
            faults = _of_another_type(name, cells) | faults
    arrays = [_array(cells, as_text=block.columns is not None and cells is not areas) for cells in columns]
    return pa.RecordBatch.from_arrays(arrays, names), faults


def _of_another_type(name: str, cells: Sequence[Any]) -> dict[int, Fault]:
    """The rows with a cell that pyarrow would change in a column of several types: `true` is 1, a number is text."""
    kinds = {*map(type, cells)} - {type(None)}
    wrong = {bool, int, float} if name in TEXTS else {bool}
    if name not in INPUT or len(kinds) < 2 or kinds.isdisjoint(wrong):
        return {}
    return {at: (name, _refusal(name, cell)) for at, cell in enumerate(cells) if type(cell) in wrong}


def _refusal(name: str, cell: Any) -> str:
    """The sentence with which a home is refused for this cell."""
    try:
        Home.parse({field.name: field.example for field in INPUTS if field.required} | {name: cell}, name_values=True)
    except InvalidInput as error:
        return error.fields[name]
    raise AssertionError(f"a home with the {name} {cell!r} was accepted")


def _array(cells: Sequence[Any], *, as_text: bool = False) -> pa.Array:
    """The cells with blank ones as missing; `as_text` says that all are text, which pyarrow else has to find out."""
    try:
        array = pa.array(cells, pa.string() if as_text else None)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        array = pa.array([cell if cell is None or isinstance(cell, str) else json.dumps(cell) for cell in cells])
    if pa.types.is_null(array.type):
        return array.cast(pa.string())
    return pc.if_else(pc.equal(array, ""), None, array) if pa.types.is_string(array.type) else array
