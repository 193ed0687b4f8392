"""The results of a partition in the bucket: estimates in Parquet, refused rows as JSON lines, and last the manifest."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from homeprices.adapters.object_store import Bucket
from homeprices.batch.feature_reader import Refused
from homeprices.pricing.bundle import digest_of
from homeprices.pricing.manifest import MANIFEST_FILE, FileDigest

PART_ROWS = 1_000_000
MOST_NOTES = 100
PART_BYTES = 16 * 2**20
"""A file is closed at this size, which bounds the results held in memory."""


class PartitionManifest(BaseModel):
    """The commit mark of a partition: rows that have an estimate, rows that have none by field, files by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: int
    version: str
    estimated: int
    refused: int
    refused_fields: dict[str, int]
    files: dict[str, FileDigest]
    notes: tuple[str, ...] = ()
    """What was read in another way than it is written, and columns that are not used: up to MOST_NOTES sentences."""


class PartitionWriter:
    """Writes the files of one partition under `folder`, one part at a time; `commit` publishes them."""

    def __init__(self, bucket: Bucket, folder: str) -> None:
        self._bucket, self._folder = bucket, folder
        self._files: dict[str, FileDigest] = {}
        self._fields: Counter[str] = Counter()
        self.estimated = self.refused = 0
        self._part: tuple[io.BytesIO, pq.ParquetWriter] | None = None
        self._part_rows = 0
        self._lines = io.BytesIO()
        self._notes: dict[str, None] = {}

    def note(self, sentence: str) -> None:
        """Add a sentence to the manifest, once; after MOST_NOTES none is added."""
        if len(self._notes) < MOST_NOTES:
            self._notes[sentence] = None

    def add(self, table: pa.Table) -> None:
        """Add estimates of some rows; every call has the same columns."""
        if self._part is None:
            target = io.BytesIO()
            self._part = target, pq.ParquetWriter(target, table.schema, compression="zstd")
        self._part[1].write_table(table)
        self._part_rows += table.num_rows
        self.estimated += table.num_rows
        if self._part_rows >= PART_ROWS:
            self._close_part()

    def refuse(self, key: str, first_row: int, refused: Iterable[Refused], lines: Sequence[int] | None) -> None:
        """Add refused rows, with their file, their row number in it, and in a file of text their line."""
        for one in refused:
            place = {"file": key, "row": first_row + one.row, **({"line": lines[one.row]} if lines else {})}
            line = {**place, "reasons": dict(one.reasons), "values": one.values}
            self._lines.write(json.dumps(line, ensure_ascii=False, default=str).encode() + b"\n")
            self._fields.update(one.reasons.keys())
            self.refused += 1
            if self._lines.tell() >= PART_BYTES:
                self._close_lines()

    def commit(self, partition: int, version: str) -> PartitionManifest:
        """Write the remaining rows, then the manifest."""
        self._close_part()
        self._close_lines()
        manifest = PartitionManifest(
            partition=partition,
            version=version,
            estimated=self.estimated,
            refused=self.refused,
            refused_fields=dict(sorted(self._fields.items())),
            files=self._files,
            notes=tuple(self._notes),
        )
        self._bucket.put(self._folder + MANIFEST_FILE, manifest.model_dump_json(indent=1).encode())
        return manifest

    def discard(self) -> None:
        """Delete the files that were written."""
        for name in self._files:
            self._bucket.delete(self._folder + name)

    def _close_part(self) -> None:
        if self._part is None:
            return
        target, writer = self._part
        writer.close()
        self._put("part", "parquet", target.getbuffer())
        self._part, self._part_rows = None, 0

    def _close_lines(self) -> None:
        if self._lines.tell():
            self._put("refused", "jsonl", self._lines.getbuffer())
            self._lines = io.BytesIO()

    def _put(self, kind: str, suffix: str, content: Any) -> None:
        name = f"{kind}-{sum(held.startswith(kind) for held in self._files):05d}.{suffix}"
        body = bytes(content)
        self._bucket.put(self._folder + name, body)
        self._files[name] = digest_of(body)
