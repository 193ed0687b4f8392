"""Stored datasets: `data/raw/train_V{n}.csv`, each an unchanged copy of an imported file, written once.

The end of the name tells the format (`.jsonl`, `.json`, `.parquet`). Readers go by the content: before, every file was
called `.csv`.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from homeprices.adapters.object_store import Bucket
from homeprices.data.listing_dates import local_day
from homeprices.data.schema import read_listings
from homeprices.errors import Conflict, InvalidInput, NotFound, ObjectNotFound, PreconditionFailed
from homeprices.pricing.manifest import DatasetReference
from homeprices.registry.bundle_publisher import DATASET_KEY, claim, claim_key
from homeprices.registry.versions import number_of, utc_now
from homeprices.tables.reader import Format

if TYPE_CHECKING:
    from homeprices.data.cleaning import Cleaned
    from homeprices.data.preparation import PreparedDataset

PREFIX = "data/raw/"

SUFFIX: dict[Format, str] = {"csv": ".csv", "ndjson": ".jsonl", "json": ".json", "parquet": ".parquet"}


MAX_SOURCE = 100
"""Characters of a source that are kept, from its end."""

_IMPORT = re.compile(r"import:(.*):[0-9a-f]{16}:after (?:nothing|train_V[0-9]+)", re.DOTALL)


class Dataset(BaseModel):
    """One version of the listings. `rows` counts them before cleaning; `sha256` is of the file.

    `source` says for people what the listings are; `imported_at` is the time of the import. Both are in the claim of
    the version, and None where a dataset was put into the bucket by hand.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int
    key: str
    sha256: str
    rows: int
    source: str | None = None
    imported_at: datetime | None = None

    @property
    def name(self) -> str:
        return f"train_V{self.version}"


def import_csv(bucket: Bucket, body: bytes, source: str) -> Dataset:
    """Store a file of listings as the next version and return it; the newest one if it has the same content.

    `source` says what the listings are, for example the name of the file. It is part of the claim, so that two
    concurrent imports of one file get one version. Raises DatasetRefused, and uploads nothing, when the file violates
    the data contract.
    """
    # Imported here, because most processes only read datasets, and importing pandera takes most of a second.
    from homeprices.data.contract import accept

    accepted = accept(body, local_day(utc_now()))
    return store(bucket, body, source, rows=accepted.cleaned.raw_rows, format=accepted.listings.format)


def store(bucket: Bucket, body: bytes, source: str, *, rows: int, format: Format) -> Dataset:
    """Store a file that was already accepted, with its number of rows and its format, as `import_csv` does."""
    sha256 = hashlib.sha256(body).hexdigest()
    newest = latest(bucket)
    if newest and newest.sha256 == sha256:
        return newest
    # The newest version is part of the owner, so that a repeated import gets the same number, while a file that is
    # imported again after another file becomes a new version.
    after = newest.name if newest else "nothing"
    name = claim(bucket, "train_V", f"import:{source[-MAX_SOURCE:]}:{sha256[:16]}:after {after}")
    version = int(name.removeprefix("train_V"))
    key = f"{PREFIX}{name}{SUFFIX[format]}"
    try:
        bucket.put(key, body, if_absent=True)
    except PreconditionFailed:
        if hashlib.sha256(bucket.get(key).body).hexdigest() != sha256:
            raise Conflict(f"{key} exists with another content") from None
    return Dataset(version=version, key=key, sha256=sha256, rows=rows, **_origin(bucket, name))


def latest(bucket: Bucket) -> Dataset | None:
    """Return the dataset with the highest version, or None. Raises DatasetRefused."""
    versions = [number_of(match[1]) for entry in bucket.list(PREFIX) if (match := DATASET_KEY.fullmatch(entry.key))]
    return describe(bucket, max(versions)) if versions else None


def find(bucket: Bucket, version: int | None) -> Dataset:
    """Return the dataset of this version, by default the newest.

    Raises NotFound when there is none yet, InvalidInput for a version that does not exist, and DatasetRefused.
    """
    if version is not None:
        try:
            return describe(bucket, version)
        except ObjectNotFound:
            raise InvalidInput({"dataset": f"there is no train_V{version} in the bucket"}) from None
    newest = latest(bucket)
    if newest is None:
        raise NotFound("there is no dataset yet; import one with `python -m homeprices.data import path.csv`")
    return newest


def describe(bucket: Bucket, version: int) -> Dataset:
    """Return the dataset of this version. Raises ObjectNotFound, DatasetRefused."""
    found = (entry.key for entry in bucket.list(f"{PREFIX}train_V{version}.") if DATASET_KEY.fullmatch(entry.key))
    key = next(found, f"{PREFIX}train_V{version}.csv")
    body = bucket.get(key).body
    rows = len(read_listings(body))
    origin = _origin(bucket, f"train_V{version}")
    return Dataset(version=version, key=key, sha256=hashlib.sha256(body).hexdigest(), rows=rows, **origin)


def _origin(bucket: Bucket, name: str) -> dict[str, Any]:
    """Return `source` and `imported_at` of a dataset; empty without a readable claim of an import."""
    try:
        claimed = json.loads(bucket.get(claim_key(name)).body)
        found = _IMPORT.fullmatch(claimed["owner"])
        return {"source": found[1], "imported_at": datetime.fromisoformat(claimed["at"])} if found else {}
    except (ObjectNotFound, ValueError, KeyError, TypeError):
        return {}


def prepared(bucket: Bucket, reference: DatasetReference) -> PreparedDataset:
    """Return the rows of a bundle's dataset at their listed prices, divided as for that bundle. Raises as `read` does.

    Raises InvalidInput for a hold-out by time that is not the dataset's own.
    """
    # Imported here, because the services read the names of datasets only.
    from homeprices.data import preparation

    cleaned = clean(bucket, Dataset.model_validate(reference.model_dump()))
    made = preparation.prepare(cleaned)
    rule = reference.holdout or preparation.SALT
    if rule == made.rule:
        return made
    if rule.startswith(preparation.BY_TIME):
        raise InvalidInput({"dataset.holdout": f"is {rule!r}; that of train_V{reference.version} is {made.rule!r}"})
    return preparation.PreparedDataset(cleaned.rows, preparation.unseen_by(cleaned.rows, rule), made.quality, rule)


def clean(bucket: Bucket, dataset: Dataset) -> Cleaned:
    """Return the clean listings of a dataset; none is later than its import. Raises as `read` does."""
    from homeprices.data import cleaning

    imported = dataset.imported_at
    return cleaning.clean(read(bucket, dataset), None if imported is None else local_day(imported))


def read(bucket: Bucket, dataset: Dataset) -> pd.DataFrame:
    """Return the raw table. Raises ObjectNotFound, DatasetRefused, and Conflict when the digest differs."""
    body = bucket.get(dataset.key).body
    if hashlib.sha256(body).hexdigest() != dataset.sha256:
        raise Conflict(f"{dataset.key} is not the file with the digest {dataset.sha256}")
    return read_listings(body)
