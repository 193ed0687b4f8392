"""A bundle folder, read and verified: no file of it is used before every digest has been checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from homeprices.errors import BundleRefused
from homeprices.pricing.manifest import (
    DRAFT_FILE,
    MANIFEST_FILE,
    REFERENCE_FILE,
    Columns,
    Draft,
    FileDigest,
    Manifest,
    Reference,
)
from homeprices.pricing.market import MARKET_FILE, PLACE_PRICES_FILE, Market, PlacePrices

MODEL_FILE = "model.onnx"
COLUMNS_FILE = "columns.json"
NEEDED_FILES = (MODEL_FILE, COLUMNS_FILE, REFERENCE_FILE)
_BLOCK_BYTES = 1 << 20

_Model = TypeVar("_Model", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True)
class Bundle:
    """A verified bundle folder."""

    folder: Path
    manifest: Draft
    columns: Columns

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """The published bundle in `folder`. Raises BundleRefused: a file is missing, altered, or not of its schema."""
        return _open(folder, _read(folder, MANIFEST_FILE, Manifest))

    @classmethod
    def open_draft(cls, folder: Path) -> Bundle:
        """The bundle in `folder` before its release, verified the same way. Raises BundleRefused."""
        return _open(folder, _read(folder, DRAFT_FILE, Draft))

    @property
    def version(self) -> str:
        """`BO3`, `CO7`, or `draft`."""
        return self.manifest.version if isinstance(self.manifest, Manifest) else "draft"

    @property
    def model_path(self) -> Path:
        return self.folder / MODEL_FILE

    def reference(self) -> Reference:
        """The distributions of the training rows. Raises BundleRefused."""
        return _read(self.folder, REFERENCE_FILE, Reference)

    def market(self) -> Market | None:
        """The market of the training rows; None in a bundle that is older than the file. Raises BundleRefused."""
        return _read(self.folder, MARKET_FILE, Market) if MARKET_FILE in self.manifest.files else None

    def place_prices(self) -> PlacePrices | None:
        """The price levels at which the model has learned prices; None if it uses none. Raises BundleRefused."""
        as_of = self.manifest.place_prices_as_of
        if as_of is None:
            return None
        if PLACE_PRICES_FILE not in self.manifest.files:
            raise BundleRefused(f"{self.folder.name}: the manifest does not list {PLACE_PRICES_FILE}")
        table = _read(self.folder, PLACE_PRICES_FILE, PlacePrices)
        if table.as_of != as_of:
            raise BundleRefused(f"{self.folder.name}: {PLACE_PRICES_FILE} is of {table.as_of}, not of {as_of}")
        return table


def digest(path: Path) -> FileDigest:
    """The SHA-256 and size of a file."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha.update(block)
    return FileDigest(sha256=sha.hexdigest(), size=path.stat().st_size)


def digest_of(body: bytes) -> FileDigest:
    """The SHA-256 and size of the content of a file."""
    return FileDigest(sha256=hashlib.sha256(body).hexdigest(), size=len(body))


def _open(folder: Path, manifest: Draft) -> Bundle:
    unlisted = [name for name in NEEDED_FILES if name not in manifest.files]
    if unlisted:
        raise BundleRefused(f"{folder.name}: the manifest does not list {', '.join(unlisted)}")
    for name, expected in manifest.files.items():
        _verify(folder, name, expected)
    return Bundle(folder, manifest, _read(folder, COLUMNS_FILE, Columns))


def _verify(folder: Path, name: str, expected: FileDigest) -> None:
    path = folder / name
    try:
        size = path.stat().st_size
        if size != expected.size:
            raise BundleRefused(f"{folder.name}: {name} has {size} bytes, its manifest says {expected.size}")
        actual = digest(path).sha256
    except OSError as error:
        raise BundleRefused(f"{folder.name}: {name} cannot be read: {error.strerror or error}") from error
    if actual != expected.sha256:
        raise BundleRefused(f"{folder.name}: {name} has the digest {actual}, its manifest says {expected.sha256}")


def _read(folder: Path, name: str, schema: type[_Model]) -> _Model:
    try:
        return schema.model_validate_json((folder / name).read_bytes())
    except OSError as error:
        raise BundleRefused(f"{folder.name}: {name} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()[:3])
        raise BundleRefused(f"{folder.name}: {name} is not of its schema: {problems}") from None
