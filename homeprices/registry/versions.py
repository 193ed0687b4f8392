"""Version names and the key prefixes of bundles.

`BO{n}` is a production ("best") bundle, `RO{n}` a regional one, `CO{n}` a candidate, `train_V{n}` a dataset.
`bundle_publisher.claim` issues the numbers, and never issues one twice.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

from homeprices.errors import InvalidInput

Kind = Literal["BO", "CO", "RO", "train_V"]

_VERSION = re.compile(r"(BO|CO|RO|train_V)([1-9][0-9]*)")
REGIONS_KEY = "models/regions.json"
"""The record of the regional bundles, beside the bundles, because the services may read there."""

BUNDLE_FILE_KEY = re.compile(r"(?:models|archive)/price_check_((?:BO|CO|RO)[1-9][0-9]*)/(.+)")


def utc_now() -> datetime:
    """Return the present time, in UTC."""
    return datetime.now(UTC)


def version_name(kind: Kind, number: int) -> str:
    """Return the version name, for example `BO3`."""
    return f"{kind}{number}"


def kind_of(version: str) -> Kind:
    """Return `BO` of `BO3`. Raises InvalidInput if it is no version name."""
    return _parse(version)[0]


def number_of(version: str) -> int:
    """Return 3 of `BO3`. Raises InvalidInput if it is no version name."""
    return _parse(version)[1]


def bundle_name(version: str) -> str:
    """Return the folder name of a bundle, for example `price_check_BO3`. Raises InvalidInput for a dataset."""
    if kind_of(version) == "train_V":
        raise InvalidInput({"version": f"{version!r} is a dataset; a bundle is BO, CO or RO and a number, such as BO1"})
    return f"price_check_{version}"


def folder(version: str) -> str:
    """Return the key prefix of a bundle in use."""
    return f"models/{bundle_name(version)}/"


def archive_folder(version: str) -> str:
    """Return the key prefix of an archived candidate."""
    return f"archive/{bundle_name(version)}/"


def _parse(version: str) -> tuple[Kind, int]:
    match = _VERSION.fullmatch(version)
    if not match:
        raise InvalidInput({"version": f"{version!r} is not a version name such as BO1, CO1 or train_V1"})
    kind: Kind = match[1]  # type: ignore[assignment]  # the pattern allows these only
    return kind, int(match[2])
