"""The plan of a job: which bundle scores which slices. It is written once, so all attempts do the same work.

```
batch/{job}/plan.json                               the plan
batch/{job}/partitions/{number}/part-{n}.parquet    estimates
batch/{job}/partitions/{number}/refused-{n}.jsonl   rows without an estimate, with the reasons
batch/{job}/partitions/{number}/manifest.json       written last in its folder: the partition is complete
batch/{job}/manifest.json                           written last of all: the job is complete
```
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeprices.adapters.object_store import Entry, RangedBucket
from homeprices.batch.object_file import parquet_groups
from homeprices.batch.source_files import Format, Skipped, SourceFiles, format_of, in_words
from homeprices.errors import Conflict, HomePricesError, InvalidInput, NotFound, ObjectNotFound, PreconditionFailed
from homeprices.pricing.manifest import is_none

ROOT = "batch/"
TARGET_ROWS = 500_000
"""A few seconds of one core: a killed worker loses little, and the start of a task costs little in comparison."""

MAX_PARTITIONS = 1_000
"""Airflow maps a task at most 1,024 times ([core] max_map_length)."""

MAX_FILES = 100_000
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,119}")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Slice(_Frozen):
    """A part of one file: some row groups of a Parquet file, or a whole CSV file.

    `first_row` is the number of its first row in the file, from 0; `rows` is unknown for CSV.
    """

    key: str
    etag: str
    size: int
    format: Format
    first_group: int = 0
    groups: int = 0
    first_row: int = 0
    rows: int | None = None


class Plan(_Frozen):
    """A job: the bundle that scores, the slices of every partition, and the files that are not scored.

    `place_prices` is the version of the table at whose levels a bundle with place prices scores; not written without.
    """

    job: str
    source: str
    version: str
    created_at: datetime
    partitions: tuple[tuple[Slice, ...], ...] = Field(min_length=1)
    skipped: tuple[Skipped, ...] = ()
    place_prices: int | None = Field(default=None, ge=1, exclude_if=is_none)

    @property
    def folder(self) -> str:
        """The folder of the job's results, with a slash at its end."""
        return folder_of(self.job)

    def partition_folder(self, number: int) -> str:
        """The folder of a partition's results."""
        return f"{self.folder}partitions/{number:05d}/"


def job_name(text: str) -> str:
    """The name of a job, derived from any text such as a run's id."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("._-")[:120] or "job"


def folder_of(job: str) -> str:
    """The folder of a job's results. Raises InvalidInput when the name is invalid."""
    if not _JOB.fullmatch(job):
        raise InvalidInput({"job": f"{job!r} is not a name of letters, digits, _ . and -, of 1 to 120 characters"})
    return f"{ROOT}{job}/"


def make_plan(
    bucket: RangedBucket, job: str, source: str, version: str, at: datetime, place_prices: int | None = None
) -> Plan:
    """Plan a job, or return its existing plan, with the place prices that it has.

    Raises InvalidInput when nothing under `source` can be scored, Conflict when the job is about something else.
    """
    key = folder_of(job) + "plan.json"
    if not source or source.startswith(("models/", "archive/", "control/", "claims/", folder_of(job))):
        raise InvalidInput({"source": f"{source!r} is not a prefix of files to score"})
    try:
        plan = read_plan(bucket, job)
    except NotFound:
        slices, skipped = _planned(bucket, source)
        plan = Plan(
            job=job,
            source=source,
            version=version,
            created_at=at,
            partitions=_grouped(slices),
            skipped=skipped,
            place_prices=place_prices,
        )
        try:
            bucket.put(key, plan.model_dump_json(indent=1).encode(), if_absent=True)
        except PreconditionFailed:  # another attempt was first
            plan = read_plan(bucket, job)
    if (plan.source, plan.version) != (source, version):
        raise Conflict(
            f"the job {job} scores {plan.source} with {plan.version}, not {source} with {version}; take another name"
        )
    return plan


def read_plan(bucket: RangedBucket, job: str) -> Plan:
    """The plan of a job. Raises NotFound, HomePricesError (damaged)."""
    key = folder_of(job) + "plan.json"
    try:
        return Plan.model_validate_json(bucket.get(key).body)
    except ObjectNotFound:
        raise NotFound(f"there is no job {job} in the bucket {bucket.name}") from None
    except ValidationError as error:
        raise HomePricesError(f"{key} is not a plan: {error.errors()[0]['msg']}") from error


def _planned(bucket: RangedBucket, source: str) -> tuple[list[Slice], tuple[Skipped, ...]]:
    """Return the slices of all data files under `source`, and the files that are skipped."""
    files = SourceFiles(bucket.list(source), source)
    if len(files.data) > MAX_FILES:
        raise InvalidInput({"source": f"{len(files.data):,} files under {source!r}; at most {MAX_FILES:,} are taken"})
    slices: list[Slice] = []
    for entry in files.data:
        pieces = list(_slices(bucket, entry))
        if all(piece.rows == 0 for piece in pieces):
            files.skip(entry, "no_rows")
        else:
            slices += pieces
    if not slices:
        seen = in_words(files.skipped) or "no key begins so"
        raise InvalidInput({"source": f"there is no data file with content under {source!r}: {seen}"})
    return slices, files.skipped


def _slices(bucket: RangedBucket, entry: Entry) -> Iterator[Slice]:
    """Pieces of about TARGET_ROWS; a row group is never cut."""
    kind = format_of(entry.key)
    assert kind is not None, f"{entry.key} is no data file"
    whole = Slice(key=entry.key, etag=entry.etag, size=entry.size, format=kind)
    if kind == "csv":
        yield whole
        return
    row = first_group = first_row = 0
    counts = parquet_groups(bucket, entry.key, entry.etag, entry.size)
    if counts is None:
        yield whole.model_copy(update={"format": "csv"})
        return
    for group, rows in enumerate(counts):
        row += rows
        if row - first_row >= TARGET_ROWS or group == len(counts) - 1:
            pieces = {"first_group": first_group, "groups": group + 1 - first_group}
            yield whole.model_copy(update={**pieces, "first_row": first_row, "rows": row - first_row})
            first_group, first_row = group + 1, row


def _grouped(slices: list[Slice]) -> tuple[tuple[Slice, ...], ...]:
    """Slices in at most MAX_PARTITIONS groups; small files of one kind share a group up to TARGET_ROWS."""
    share = -(-len(slices) // MAX_PARTITIONS)
    groups: list[list[Slice]] = []
    for piece in slices:
        if groups and (len(groups[-1]) < share or _fits(groups[-1], piece)):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return tuple(map(tuple, groups))


def _fits(group: list[Slice], piece: Slice) -> bool:
    rows = [one.rows for one in (*group, piece)]
    return None not in rows and sum(count or 0 for count in rows) <= TARGET_ROWS
