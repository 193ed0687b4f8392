"""Tables of place prices in the bucket: one version for each day, written once, read by the services like a model.

```
features/place_prices/V{n}/table.json      the levels of a day (`pricing.market.PlacePrices`)
features/place_prices/V{n}/manifest.json   written last: day, dataset, and the digest of the table
```

A folder without a manifest does not exist to readers. Nothing is overwritten, so a writer that is killed after any step
and called again gives the same outcome. The oldest versions are removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import BundleRefused, Conflict, PreconditionFailed
from homeprices.log import get_logger
from homeprices.pricing.bundle import digest_of
from homeprices.pricing.manifest import FileDigest, Sha256
from homeprices.pricing.market import PlacePrices

PREFIX = "features/place_prices/"
TABLE, MANIFEST = "table.json", "manifest.json"
KEPT = 30
"""Versions that stay: a month of days."""

MOST_BYTES = 8 * 2**20
"""20,000 places take 2 MB."""

WRITE_ATTEMPTS = 20
_KEY = re.compile(rf"{PREFIX}V([1-9][0-9]{{0,8}})/([a-z]+\.json)")
_Model = TypeVar("_Model", bound=BaseModel)

log = get_logger(__name__)


class TableManifest(BaseModel):
    """What commits a table: its day, the dataset that it was computed of, and the digest of its file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = 1
    version: int = Field(ge=1)
    as_of: date
    dataset: str = Field(max_length=40)
    dataset_sha256: Sha256
    table: FileDigest

    @property
    def name(self) -> str:
        """`V3`."""
        return f"V{self.version}"


def versions(bucket: Bucket) -> list[int]:
    """Return the numbers of the complete tables, lowest first. Raises StorageUnavailable."""
    return sorted(number for number, name, _ in _files(bucket) if name == MANIFEST)


def read_manifest(bucket: Bucket, number: int) -> TableManifest:
    """Return the manifest of a table. Raises ObjectNotFound, BundleRefused when it is damaged, StorageUnavailable."""
    manifest = parse(TableManifest, bucket.get(_key(number, MANIFEST)).body, f"the manifest of V{number}")
    if manifest.version != number:
        raise BundleRefused(f"the manifest in the folder of V{number} says that it is {manifest.name}")
    return manifest


def read(bucket: Bucket, number: int) -> tuple[TableManifest, bytes]:
    """Return the manifest of a table and the verified text of its file. Raises as `read_manifest` does."""
    manifest = read_manifest(bucket, number)
    return manifest, bucket.get(_key(number, TABLE)).body


def verified(manifest: TableManifest, body: bytes) -> PlacePrices:
    """Return the table in a body with the manifest's digest. Raises BundleRefused for any other body."""
    if len(body) > MOST_BYTES:
        raise BundleRefused(f"{TABLE} of {manifest.name} has {len(body):,} bytes; at most {MOST_BYTES:,} are taken")
    if digest_of(body) != manifest.table:
        raise BundleRefused(f"{TABLE} of {manifest.name} has another digest than its manifest says")
    table = parse(PlacePrices, body, f"{TABLE} of {manifest.name}")
    if table.as_of != manifest.as_of:
        raise BundleRefused(f"{TABLE} of {manifest.name} is of {table.as_of}, its manifest says {manifest.as_of}")
    return table


def newest(bucket: Bucket) -> tuple[TableManifest, PlacePrices] | None:
    """Return the newest complete table, or None. Raises BundleRefused when it is damaged, StorageUnavailable."""
    numbers = versions(bucket)
    if not numbers:
        return None
    manifest, body = read(bucket, numbers[-1])
    return manifest, verified(manifest, body)


def publish(bucket: Bucket, table: PlacePrices, *, dataset: str, dataset_sha256: str) -> TableManifest:
    """Store a table as the next version, and return its manifest; of an equal table, that of the version that it has.

    A table that is older than the newest one is not stored: the newest one's manifest is returned. Raises Conflict when
    other writers keep taking the number, StorageUnavailable.
    """
    body = table.model_dump_json().encode()
    last: TableManifest | None = None
    for _ in range(WRITE_ATTEMPTS):
        complete = versions(bucket)
        last = read_manifest(bucket, complete[-1]) if complete else None
        if last is not None and (
            last.as_of > table.as_of or (last.as_of, last.table) == (table.as_of, digest_of(body))
        ):
            return last
        number = _free_number(bucket, body, 1 + (complete[-1] if complete else 0))
        manifest = TableManifest(
            version=number,
            as_of=table.as_of,
            dataset=dataset,
            dataset_sha256=dataset_sha256,
            table=digest_of(body),
        )
        try:
            bucket.put(_key(number, MANIFEST), manifest.model_dump_json(indent=1).encode(), if_absent=True)
        except PreconditionFailed:  # our own repeated PUT, or another writer: the next round compares
            continue
        return manifest
    raise Conflict(f"other writers took the next version of {PREFIX} {WRITE_ATTEMPTS} times in a row; try again")


def prune(bucket: Bucket, kept: int = KEPT) -> list[int]:
    """Remove all but the newest versions, and what interrupted writers left below the newest; return the numbers.

    A manifest goes first, so that no reader takes a folder without its table for a version. Raises StorageUnavailable.
    """
    complete = versions(bucket)
    stay = set(complete[-kept:])
    gone: dict[int, list[str]] = {}
    for number, _, key in _files(bucket):
        if complete and number not in stay and number < complete[-1]:
            gone.setdefault(number, []).append(key)
    for keys in gone.values():
        for key in sorted(keys, key=lambda key: not key.endswith(MANIFEST)):
            bucket.delete(key)
    return sorted(gone)


def parse(schema: type[_Model], body: bytes, what: str) -> _Model:
    """Return a JSON document of a schema. Raises BundleRefused, which names what it is."""
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleRefused(f"{what}: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from None


def _free_number(bucket: Bucket, body: bytes, number: int) -> int:
    """Put the table under the first number from this one on that is free or holds the same table, and return it."""
    for candidate in range(number, number + WRITE_ATTEMPTS):
        try:
            bucket.put(_key(candidate, TABLE), body, if_absent=True)
        except PreconditionFailed:  # an interrupted attempt, of this table or of another one
            if bucket.get(_key(candidate, TABLE)).body != body:
                continue
        return candidate
    raise Conflict(f"{PREFIX}V{number} and the numbers after it hold other tables; try again")


def _files(bucket: Bucket) -> Iterator[tuple[int, str, str]]:
    for entry in bucket.list(PREFIX):
        if match := _KEY.fullmatch(entry.key):
            yield int(match[1]), match[2], entry.key


def _key(number: int, name: str) -> str:
    return f"{PREFIX}V{number}/{name}"
