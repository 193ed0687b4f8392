"""Writes bundles to the bucket: claims a version, stages, publishes, republishes and archives.

A bundle is written file by file and its manifest last. A function that is killed after any of its writes can be called
again: it then finishes what it began.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from homeprices.adapters.object_store import Bucket
from homeprices.errors import Conflict, NotFound, ObjectNotFound, PreconditionFailed
from homeprices.names import BUNDLE_KIND, BundleKind
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.manifest import DRAFT_FILE, MANIFEST_FILE, Manifest
from homeprices.registry import versions
from homeprices.registry.bundle_reader import (
    is_complete,
    read_file,
    read_manifest,
    require_digest,
    staged_draft,
    staging_folder,
)
from homeprices.registry.versions import BUNDLE_FILE_KEY, Kind, kind_of, number_of, utc_now, version_name

CLAIM_ATTEMPTS = 100  # each one lost means that another writer took a number, so this many is never reached
_CLAIM = re.compile(r"claims/((?:BO|CO|train_V)[1-9][0-9]*)\.json")
_DATASET = re.compile(r"data/raw/(train_V[1-9][0-9]*)\.csv")


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
        version = version_name(kind, 1 + max(seen | claims, default=0))
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
            match = BUNDLE_FILE_KEY.fullmatch(entry.key)
            if match:
                seen.add(number_of(match[1]))
                if match[2] == MANIFEST_FILE:
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
        if alive and _owner(bucket, version_name(kind, number)) == owner:
            return version_name(kind, number)
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


# Bundles in the bucket: staged, published under a version, fetched, and archived.
#
# A bundle is written file by file and its manifest last, so a folder without `manifest.json` does not exist to a
# reader. Each function can be killed after any of its writes and called again: it then finishes what it began.


def stage(bucket: Bucket, run_id: str, folder: Path) -> str:
    """Upload a draft bundle (every file, `draft.json` last) and return its key prefix.

    Raises BundleRefused when a file of the folder is missing or differs from the draft. Doing it again replaces it.
    """
    draft = Bundle.open_draft(folder).manifest
    place = staging_folder(run_id)
    bucket.delete(place + DRAFT_FILE)  # a draft that is being replaced must not be published half old, half new
    for name in draft.files:
        bucket.put(place + name, (folder / name).read_bytes())
    bucket.put(place + DRAFT_FILE, (folder / DRAFT_FILE).read_bytes())
    return place


def publish(
    bucket: Bucket,
    run_id: str,
    kind: BundleKind,
    *,
    owner: str | None = None,
    promoted_from: str | None = None,
    published_by: str = "pipeline",
) -> str:
    """Publish what `run_id` has staged as the next version of its kind, and return that version.

    The same owner (by default the run) always gets the same version. Raises NotFound when nothing is staged,
    BundleRefused when a staged file differs from its draft.
    """
    owner = owner or f"publish:{run_id}"
    earlier = claimed(bucket, kind, owner)
    if earlier and is_complete(bucket, earlier):
        return earlier
    _, draft = staged_draft(bucket, run_id)
    version = claim(bucket, kind, owner)
    place = staging_folder(run_id)
    manifest = draft.publish(version=version, promoted_from=promoted_from, published_by=published_by)
    _write(bucket, manifest, lambda name: bucket.get(place + name).body)
    return version


def republish(bucket: Bucket, source: str, *, owner: str, published_by: str) -> str:
    """Publish the files of a published bundle as the next BO: a promotion, or the return of an earlier BO."""
    earlier = claimed(bucket, BUNDLE_KIND["production"], owner)
    if earlier and is_complete(bucket, earlier):
        return earlier
    content = read_manifest(bucket, source)
    version = claim(bucket, BUNDLE_KIND["production"], owner)
    manifest = content.publish(version=version, promoted_from=source, published_by=published_by)
    _write(bucket, manifest, lambda name: read_file(bucket, source, name))
    return version


def discard_staging(bucket: Bucket, run_id: str) -> None:
    """Remove what a run has staged; nothing staged is no error."""
    place = staging_folder(run_id)
    bucket.delete(place + DRAFT_FILE)
    for entry in bucket.list(place):
        bucket.delete(entry.key)


def archive(bucket: Bucket, candidate: str) -> None:
    """Move a candidate to `archive/`, its manifest first: from that moment it is no candidate to any reader.

    Raises NotFound when there is no such candidate, Conflict for a BO: production bundles stay where they are.
    """
    if versions.kind_of(candidate) != BUNDLE_KIND["candidate"]:
        raise Conflict(f"{candidate} is no candidate; only candidates are archived")
    source, target = versions.folder(candidate), versions.archive_folder(candidate)
    if bucket.exists(source + MANIFEST_FILE):
        _move(bucket, source + MANIFEST_FILE, target + MANIFEST_FILE)
    elif not bucket.exists(target + MANIFEST_FILE):
        raise NotFound(f"there is no candidate {candidate} to archive")
    for entry in bucket.list(source):
        _move(bucket, entry.key, target + entry.key.removeprefix(source))


def _write(bucket: Bucket, manifest: Manifest, read: Callable[[str], bytes]) -> None:
    place = versions.folder(manifest.version)
    for name, expected in manifest.files.items():
        body = read(name)
        require_digest(body, expected, f"{name} for {manifest.version}")
        _put_once(bucket, place + name, body, manifest_key=place + MANIFEST_FILE)
    try:
        bucket.put(place + MANIFEST_FILE, manifest.model_dump_json(indent=2).encode(), if_absent=True)
    except PreconditionFailed:
        # Our own repeated PUT, or a second process of the same owner: the claim lets nobody else write here.
        return


def _put_once(bucket: Bucket, key: str, body: bytes, *, manifest_key: str) -> None:
    try:
        bucket.put(key, body, if_absent=True)
    except PreconditionFailed:
        if bucket.get(key).body == body:
            return
        # An earlier attempt of this owner began with other content. It may be replaced only while nobody can see it.
        if bucket.exists(manifest_key):
            raise Conflict(f"{key} belongs to a published bundle and is not changed") from None
        bucket.put(key, body)


def _move(bucket: Bucket, source: str, target: str) -> None:
    try:
        bucket.copy(source, target)
    except ObjectNotFound:
        if not bucket.exists(target):  # else another process has moved it first
            raise
    bucket.delete(source)
