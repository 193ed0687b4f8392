"""Rows of Parquet as a stream of record batches, whose cells are those that CSV would have.

pyarrow is imported where it is used, because serving imports this module and reads no Parquet.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeprices.tables.csv_rows import check_names, name_of
from homeprices.tables.lines import BLOCK_BYTES, SeekableFile, fault, refusal

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAGIC = (b"PAR1", b"PARE")
"""The first bytes; the second ones are those of a file whose footer is encrypted."""

_SHOWN = 40
_FRACTION = re.compile(r"\.[0-9]+")  # of a second


@dataclass(frozen=True, eq=False)
class Parquet:
    """An open file: the names of all its columns, and the rows of the columns that are read.

    A batch comes with the number of its first row in the file.
    """

    source: str
    names: tuple[str, ...]
    batches: Iterator[tuple[int, pa.RecordBatch]]


def open_parquet(file: SeekableFile, source: str) -> pq.ParquetFile:
    """A Parquet file whose columns are read through buffers of BLOCK_BYTES. Raises MalformedTable."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file, buffer_size=BLOCK_BYTES, pre_buffer=False, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise fault(source, f"is no Parquet file: {str(error).splitlines()[0]}") from None


def read_parquet(
    file: SeekableFile,
    source: str,
    known: Collection[str],
    flat: Collection[str],
    groups: Sequence[int] | None,
    block_rows: int,
) -> Parquet:
    """Open a file, of which only `known` columns are read (none: all), and of the row `groups` (None: all).

    Raises DatasetRefused for a name that is given twice, and for a `flat` column of lists or objects.
    """
    import pyarrow as pa

    opened = open_parquet(file, source)
    held = opened.schema_arrow
    names = [name_of(name) for name in held.names]
    check_names(source, names, None)
    for kind, name in zip(held.types, names, strict=True):
        if name in flat and pa.types.is_nested(kind):
            raise refusal(source, f"must be words or numbers, not {str(kind)[:_SHOWN]}", None, name)
    wanted = [name for name, own in zip(held.names, names, strict=True) if own in known or not known]
    chosen = list(range(opened.metadata.num_row_groups)) if groups is None else list(groups)
    first = sum(opened.metadata.row_group(group).num_rows for group in range(chosen[0])) if chosen else 0

    def batches() -> Iterator[tuple[int, pa.RecordBatch]]:
        row = first
        try:
            for batch in opened.iter_batches(block_rows, row_groups=chosen, columns=wanted, use_threads=False):
                own = list(map(name_of, batch.schema.names))
                columns = [_plain(source, name, column) for name, column in zip(own, batch.columns, strict=True)]
                yield row, pa.RecordBatch.from_arrays(columns, own)
                row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            problem = f"cannot be read after row {row:,}: {(str(error) or 'it is damaged').splitlines()[0]}"
            raise fault(source, problem) from None

    return Parquet(source, tuple(name for name in names if name), batches())


def _plain(source: str, name: str, column: pa.Array) -> pa.Array:
    """A column with the cells that CSV would have: bytes and moments are text, and what is not a number is missing.

    Raises MalformedTable for bytes that are no text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    try:
        column.validate(full=True)
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            return column.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise fault(source, f"column {name[:_SHOWN]}: {str(error).splitlines()[0]}") from None
    if pa.types.is_floating(kind):
        odd = pc.is_nan(column)
        return pc.if_else(odd, None, column) if pc.any(odd).as_py() else column
    if pa.types.is_temporal(kind):
        cells = (None if cell is None else _FRACTION.sub("", str(cell)) for cell in column.to_pylist())
        return pa.array(cells, pa.string())
    return column
