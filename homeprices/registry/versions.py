"""Version names, and who took which number.

`BO{n}` is a best (production) bundle, `CO{n}` a candidate, `train_V{n}` a dataset. A number is claimed by a
conditional PUT of `claims/{version}.json` before anything is written under it, so two writers never share one, and
a number is never used again: the next one is above every number ever seen, wherever it was seen.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

from homeprices.errors import InvalidInput

Kind = Literal["BO", "CO", "train_V"]

_VERSION = re.compile(r"(BO|CO|train_V)([1-9][0-9]*)")
BUNDLE_FILE_KEY = re.compile(r"(?:models|archive)/price_check_((?:BO|CO)[1-9][0-9]*)/(.+)")


def utc_now() -> datetime:
    """The time of day, with its zone."""
    return datetime.now(UTC)


def version_name(kind: Kind, number: int) -> str:
    """The version name, for example `BO3`."""
    return f"{kind}{number}"


def kind_of(version: str) -> Kind:
    """`BO` of `BO3`. Raises InvalidInput for what is no version name."""
    return _parse(version)[0]


def number_of(version: str) -> int:
    """3 of `BO3`. Raises InvalidInput for what is no version name."""
    return _parse(version)[1]


def bundle_name(version: str) -> str:
    """The folder name of a bundle wherever it lies, for example `price_check_BO3`."""
    if kind_of(version) == "train_V":
        raise InvalidInput({"version": f"{version!r} is a dataset; a bundle is BO or CO and a number, such as BO1"})
    return f"price_check_{version}"


def folder(version: str) -> str:
    """The key prefix of a bundle that is in use."""
    return f"models/{bundle_name(version)}/"


def archive_folder(version: str) -> str:
    """The key prefix of a candidate that ended."""
    return f"archive/{bundle_name(version)}/"


def _parse(version: str) -> tuple[Kind, int]:
    match = _VERSION.fullmatch(version)
    if not match:
        raise InvalidInput({"version": f"{version!r} is not a version name such as BO1, CO1 or train_V1"})
    kind: Kind = match[1]  # type: ignore[assignment]  # the pattern allows these three only
    return kind, int(match[2])
