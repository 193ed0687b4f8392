"""Version names, and who took which number.

`BO{n}` is a best (production) bundle, `CO{n}` a candidate, `train_V{n}` a dataset. A number is claimed by a
conditional PUT of `claims/{version}.json` before anything is written under it, so two writers never share one, and
a number is never used again: the next one is above every number ever seen, wherever it was seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from homeprices.adapters.object_store import Bucket
from homeprices.errors import Conflict, InvalidInput, ObjectNotFound, PreconditionFailed

Kind = Literal["BO", "CO", "train_V"]

MANIFEST = "manifest.json"
CLAIM_ATTEMPTS = 100  # each one lost means that another writer took a number, so this many is never reached

_VERSION = re.compile(r"(BO|CO|train_V)([1-9][0-9]*)")
_CLAIM = re.compile(r"claims/((?:BO|CO|train_V)[1-9][0-9]*)\.json")
_BUNDLE_FILE = re.compile(r"(?:models|archive)/price_check_((?:BO|CO)[1-9][0-9]*)/(.+)")
_DATASET = re.compile(r"data/raw/(train_V[1-9][0-9]*)\.csv")


def utc_now() -> datetime:
    """The time of day, with its zone."""
    return datetime.now(UTC)


def name(kind: Kind, number: int) -> str:
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


def published(bucket: Bucket, kind: Literal["BO", "CO"]) -> list[str]:
    """Every complete bundle under `models/`, lowest number first. A folder without a manifest does not exist."""
    keys = (entry.key for entry in bucket.list(f"models/price_check_{kind}"))
    found = (_BUNDLE_FILE.fullmatch(key) for key in keys if key.endswith(f"/{MANIFEST}"))
    return sorted({match[1] for match in found if match and match[2] == MANIFEST}, key=number_of)


def highest(bucket: Bucket, kind: Literal["BO", "CO"]) -> str | None:
    """The bundle in production (`BO`), or the candidate (`CO`); None when there is none."""
    complete = published(bucket, kind)
    return complete[-1] if complete else None


def claim(bucket: Bucket, kind: Kind, owner: str, now: Callable[[], datetime] = utc_now) -> str:
    """A version name that belongs to `owner` alone.

    An owner that is killed and comes again gets the same name back. Only a claim that was overtaken (never completed,
    while a higher version of its kind was) is given up for a new one, because what counts is the highest.
    """
    for _ in range(CLAIM_ATTEMPTS):
        completed, seen = _survey(bucket, kind)
        # Claims are listed after everything else: whatever has files by now has its claim in this list as well.
        claims = _numbers(bucket, "claims/", _CLAIM, kind)
        mine = _standing(bucket, kind, claims, completed, owner)
        if mine is not None:
            return mine
        version = name(kind, 1 + max(seen | claims, default=0))
        if _take(bucket, version, owner, now()):
            return version
    raise Conflict(f"no number for {kind} in {CLAIM_ATTEMPTS} attempts; something else keeps writing to claims/")


def claimed(bucket: Bucket, kind: Kind, owner: str) -> str | None:
    """The version that `owner` has already claimed (and may have completed); None when there is none."""
    completed, _ = _survey(bucket, kind)
    return _standing(bucket, kind, _numbers(bucket, "claims/", _CLAIM, kind), completed, owner)


def _survey(bucket: Bucket, kind: Kind) -> tuple[set[int], set[int]]:
    """The numbers of a kind that are complete, and those that have any file at all."""
    if kind == "train_V":
        datasets = _numbers(bucket, "data/raw/train_V", _DATASET, kind)
        return datasets, datasets
    completed: set[int] = set()
    seen: set[int] = set()
    for place in ("models", "archive"):
        for entry in bucket.list(f"{place}/price_check_{kind}"):
            match = _BUNDLE_FILE.fullmatch(entry.key)
            if match:
                seen.add(number_of(match[1]))
                if match[2] == MANIFEST:
                    completed.add(number_of(match[1]))
    return completed, seen


def _numbers(bucket: Bucket, prefix: str, pattern: re.Pattern[str], kind: Kind) -> set[int]:
    matches = (pattern.fullmatch(entry.key) for entry in bucket.list(prefix))
    return {number_of(match[1]) for match in matches if match and kind_of(match[1]) == kind}


def _standing(bucket: Bucket, kind: Kind, claims: set[int], completed: set[int], owner: str) -> str | None:
    """The newest claim of an owner that was not overtaken. Newest first: a repeated step finds its own at once."""
    overtaken_below = max(completed, default=0)
    for number in sorted(claims, reverse=True):
        alive = number in completed or number > overtaken_below
        if alive and _owner(bucket, name(kind, number)) == owner:
            return name(kind, number)
    return None


def _take(bucket: Bucket, version: str, owner: str, at: datetime) -> bool:
    body = json.dumps({"owner": owner, "at": at.isoformat()}).encode()
    try:
        bucket.put(_claim_key(version), body, if_absent=True)
    except PreconditionFailed:
        # The client repeats a PUT whose answer was lost, and is then told that the key exists: it may be ours.
        return _owner(bucket, version) == owner
    return True


def _owner(bucket: Bucket, version: str) -> str | None:
    try:
        return str(json.loads(bucket.get(_claim_key(version)).body)["owner"])
    except (ObjectNotFound, ValueError, KeyError, TypeError):
        return None  # an unreadable claim still holds its number, for nobody


def _claim_key(version: str) -> str:
    return f"claims/{version}.json"


def _parse(version: str) -> tuple[Kind, int]:
    match = _VERSION.fullmatch(version)
    if not match:
        raise InvalidInput({"version": f"{version!r} is not a version name such as BO1, CO1 or train_V1"})
    kind: Kind = match[1]  # type: ignore[assignment]  # the pattern allows these three only
    return kind, int(match[2])
