"""Writes bundles to the bucket: claims a version, stages, publishes, republishes and archives.

A version is claimed by a conditional PUT of `claims/{version}.json` before anything is written under it, so that two
writers never share a number. Numbers are never reused: the next one is above all in claims, models and archive.

A bundle is written file by file, and its manifest last. A folder without `manifest.json` does not exist to readers.
Each function can be killed after any write and called again; it then completes the operation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from homeprices.adapters.object_store import Bucket
from homeprices.errors import Conflict, NotFound, ObjectNotFound, PreconditionFailed
from homeprices.names import BUNDLE_KIND, BundleKind
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.manifest import DRAFT_FILE, MANIFEST_FILE, WAITING_FILE, Manifest
from homeprices.registry import versions
from homeprices.registry.bundle_reader import (
    complete_bundles,
    is_complete,
    read_file,
    read_manifest,
    require_digest,
    staged_draft,
    staging_folder,
    waiting,
)
from homeprices.registry.versions import BUNDLE_FILE_KEY, Kind, kind_of, number_of, utc_now, version_name

CLAIM_ATTEMPTS = 100  # each failed attempt means that another writer took a number, so the limit is never reached
_CLAIM = re.compile(r"claims/((?:BO|CO|RO|train_V)[1-9][0-9]*)\.json")
DATASET_KEY = re.compile(r"data/raw/(train_V[1-9][0-9]*)\.(?:csv|jsonl|json|parquet)")


def claim(bucket: Bucket, kind: Kind, owner: str, now: Callable[[], datetime] = utc_now) -> str:
    """Claim a version name for `owner` and return it.

    A repeated call of the same owner returns the same name. Only a claim that was overtaken (never completed, while a
    higher version of its kind was) is replaced by a new one, because readers use the highest version. Raises Conflict.
    """
    for _ in range(CLAIM_ATTEMPTS):
        completed, seen = _survey(bucket, kind)
        # Claims are listed last, so that every version that has files also has its claim in the list.
        claims = _numbers(bucket, "claims/", _CLAIM, kind)
        earlier = _valid_claim(bucket, kind, claims, completed, owner)
        if earlier is not None:
            return earlier
        version = version_name(kind, 1 + max(seen | claims, default=0))
        if _take(bucket, version, owner, now()):
            return version
    raise Conflict(f"no number for {kind} in {CLAIM_ATTEMPTS} attempts; something else keeps writing to claims/")


def claimed(bucket: Bucket, kind: Kind, owner: str) -> str | None:
    """Return the version that `owner` has already claimed (and may have completed), or None."""
    completed, _ = _survey(bucket, kind)
    return _valid_claim(bucket, kind, _numbers(bucket, "claims/", _CLAIM, kind), completed, owner)


def _survey(bucket: Bucket, kind: Kind) -> tuple[set[int], set[int]]:
    """Return the numbers of a kind that are complete, and those that have at least one file."""
    if kind == "train_V":
        datasets = _numbers(bucket, "data/raw/train_V", DATASET_KEY, kind)
        return datasets, datasets
    completed: set[int] = set()
    seen: set[int] = set()
    for prefix in (f"models/price_check_{kind}", f"archive/price_check_{kind}"):
        seen |= _numbers(bucket, prefix, BUNDLE_FILE_KEY, kind)
        completed |= {number_of(version) for version in complete_bundles(bucket, prefix)}
    if kind == BUNDLE_KIND["candidate"]:
        completed |= {number_of(version) for version in waiting(bucket)}
    return completed, seen


def _numbers(bucket: Bucket, prefix: str, pattern: re.Pattern[str], kind: Kind) -> set[int]:
    matches = (pattern.fullmatch(entry.key) for entry in bucket.list(prefix))
    return {number_of(match[1]) for match in matches if match and kind_of(match[1]) == kind}


def _valid_claim(bucket: Bucket, kind: Kind, claims: set[int], completed: set[int], owner: str) -> str | None:
    """Return the newest claim of an owner that was not overtaken, or None."""
    overtaken_below = max(completed, default=0)
    for number in sorted(claims, reverse=True):  # newest first: a repeated step finds its claim at once
        valid = number in completed or number > overtaken_below
        if valid and owner_of(bucket, version_name(kind, number)) == owner:
            return version_name(kind, number)
    return None


def _take(bucket: Bucket, version: str, owner: str, at: datetime) -> bool:
    body = json.dumps({"owner": owner, "at": at.isoformat()}).encode()
    try:
        bucket.put(claim_key(version), body, if_absent=True)
    except PreconditionFailed:
        # The client repeats a PUT whose answer was lost. Then the key exists, and may be ours.
        return owner_of(bucket, version) == owner
    return True


def owner_of(bucket: Bucket, version: str) -> str | None:
    """Return who claimed a version, None without a claim that can be read."""
    try:
        return str(json.loads(bucket.get(claim_key(version)).body)["owner"])
    except (ObjectNotFound, ValueError, KeyError, TypeError):
        return None  # an unreadable claim keeps its number, but has no owner


def claim_key(version: str) -> str:
    return f"claims/{version}.json"


def stage(bucket: Bucket, run_id: str, folder: Path) -> str:
    """Upload a draft bundle (every file, `draft.json` last) and return its key prefix.

    Replaces an earlier draft of the run. Raises BundleRefused when a file is missing or differs from the draft.
    """
    draft = Bundle.open_draft(folder).manifest
    prefix = staging_folder(run_id)
    bucket.delete(prefix + DRAFT_FILE)  # so that a partly replaced draft cannot be published
    for name in draft.files:
        bucket.put(prefix + name, (folder / name).read_bytes())
    bucket.put(prefix + DRAFT_FILE, (folder / DRAFT_FILE).read_bytes())
    return prefix


def publish(
    bucket: Bucket,
    run_id: str,
    kind: BundleKind,
    *,
    owner: str | None = None,
    promoted_from: str | None = None,
    published_by: str = "pipeline",
    waits: bool = False,
) -> str:
    """Publish the draft of `run_id` as the next version of its kind, and return that version.

    The same owner (by default the run) always gets the same version. A candidate that `waits` is complete but not
    published: no replica serves it before `publish_waiting`. Raises NotFound when there is no draft, BundleRefused when
    a staged file differs from it.
    """
    owner = owner or f"publish:{run_id}"
    earlier = claimed(bucket, kind, owner)
    if earlier and is_complete(bucket, earlier):
        return earlier
    _, draft = staged_draft(bucket, run_id)
    version = claim(bucket, kind, owner)
    prefix = staging_folder(run_id)
    manifest = draft.publish(version=version, promoted_from=promoted_from, published_by=published_by)
    _write(bucket, manifest, lambda name: bucket.get(prefix + name).body, WAITING_FILE if waits else MANIFEST_FILE)
    return version


def publish_waiting(bucket: Bucket, candidate: str) -> None:
    """Publish a candidate that waits; do nothing if it is published or archived."""
    source = versions.folder(candidate)
    try:
        body = bucket.get(source + WAITING_FILE).body
    except ObjectNotFound:
        return
    with suppress(PreconditionFailed):  # our own repeated PUT, or another process
        bucket.put(source + MANIFEST_FILE, body, if_absent=True)
    bucket.delete(source + WAITING_FILE)
    if bucket.exists(versions.archive_folder(candidate) + MANIFEST_FILE):  # archived between the read and the PUT
        archive(bucket, candidate)


def republish(
    bucket: Bucket, source: str, *, owner: str, published_by: str, kind: BundleKind = BUNDLE_KIND["production"]
) -> str:
    """Publish the files of a published bundle as the next BO or RO, for a promotion or a revert. Return the version."""
    earlier = claimed(bucket, kind, owner)
    if earlier and is_complete(bucket, earlier):
        return earlier
    content = read_manifest(bucket, source)
    version = claim(bucket, kind, owner)
    manifest = content.publish(version=version, promoted_from=source, published_by=published_by)
    _write(bucket, manifest, lambda name: read_file(bucket, source, name))
    return version


def discard_staging(bucket: Bucket, run_id: str) -> None:
    """Delete the draft of a run, if there is one."""
    prefix = staging_folder(run_id)
    bucket.delete(prefix + DRAFT_FILE)
    for entry in bucket.list(prefix):
        bucket.delete(entry.key)


def archive(bucket: Bucket, candidate: str) -> None:
    """Move a candidate to `archive/`, its manifest first, so that readers see no candidate from then on.

    Raises NotFound when there is no such candidate, Conflict for a production bundle, which is never archived.
    """
    if versions.kind_of(candidate) != BUNDLE_KIND["candidate"]:
        raise Conflict(f"{candidate} is no candidate; only candidates are archived")
    source, target = versions.folder(candidate), versions.archive_folder(candidate)
    if bucket.exists(source + WAITING_FILE):
        with suppress(ObjectNotFound):  # another process publishes it at this moment
            _move(bucket, source + WAITING_FILE, target + MANIFEST_FILE)
    if bucket.exists(source + MANIFEST_FILE):
        _move(bucket, source + MANIFEST_FILE, target + MANIFEST_FILE)
    elif not bucket.exists(target + MANIFEST_FILE):
        raise NotFound(f"there is no candidate {candidate} to archive")
    for entry in bucket.list(source):
        _move(bucket, entry.key, target + entry.key.removeprefix(source))


def _write(bucket: Bucket, manifest: Manifest, read: Callable[[str], bytes], commit: str = MANIFEST_FILE) -> None:
    prefix = versions.folder(manifest.version)
    for name, expected in manifest.files.items():
        body = read(name)
        require_digest(body, expected, f"{name} for {manifest.version}")
        _put_once(bucket, prefix + name, body, manifest_key=prefix + commit)
    try:
        bucket.put(prefix + commit, manifest.model_dump_json(indent=2).encode(), if_absent=True)
    except PreconditionFailed:
        # Our own repeated PUT, or a second process of the same owner. The claim excludes all others.
        return


def _put_once(bucket: Bucket, key: str, body: bytes, *, manifest_key: str) -> None:
    try:
        bucket.put(key, body, if_absent=True)
    except PreconditionFailed:
        if bucket.get(key).body == body:
            return
        # An earlier attempt of this owner wrote other content. It may be replaced only while it is unpublished.
        if bucket.exists(manifest_key):
            raise Conflict(f"{key} belongs to a published bundle and is not changed") from None
        bucket.put(key, body)


def _move(bucket: Bucket, source: str, target: str) -> None:
    try:
        bucket.copy(source, target)
    except ObjectNotFound:
        if not bucket.exists(target):  # otherwise another process has moved it
            raise
    bucket.delete(source)
