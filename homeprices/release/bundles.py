"""Bundles in the bucket: staged, published under a version, fetched, and archived.

A bundle is written file by file and its manifest last, so a folder without `manifest.json` does not exist to a
reader. Each function can be killed after any of its writes and called again: it then finishes what it began.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import BundleRefused, Conflict, NotFound, ObjectNotFound, PreconditionFailed
from homeprices.pricing.bundle import COLUMNS_FILE, MODEL_FILE, Bundle, Columns
from homeprices.pricing.manifest import DRAFT_FILE, MANIFEST_FILE, Draft, FileDigest, Manifest
from homeprices.release import versions

BundleKind = Literal["BO", "CO"]

INSTALL_ATTEMPTS = 5  # each lost one means that another process installed the same bundle meanwhile

_Draft = TypeVar("_Draft", bound=Draft)


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
    earlier = versions.claimed(bucket, kind, owner)
    if earlier and is_complete(bucket, earlier):
        return earlier
    _, draft = _staged_draft(bucket, run_id)
    version = versions.claim(bucket, kind, owner)
    place = staging_folder(run_id)
    manifest = draft.publish(version=version, promoted_from=promoted_from, published_by=published_by)
    _write(bucket, manifest, lambda name: bucket.get(place + name).body)
    return version


def publish_again(bucket: Bucket, source: str, *, owner: str, published_by: str) -> str:
    """Publish the files of a published bundle as the next BO: a promotion, or the return of an earlier BO."""
    earlier = versions.claimed(bucket, "BO", owner)
    if earlier and is_complete(bucket, earlier):
        return earlier
    content = read_manifest(bucket, source)
    version = versions.claim(bucket, "BO", owner)
    manifest = content.publish(version=version, promoted_from=source, published_by=published_by)
    _write(bucket, manifest, lambda name: _read_file(bucket, source, name))
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
    if versions.kind_of(candidate) != "CO":
        raise Conflict(f"{candidate} is no candidate; only candidates are archived")
    source, target = versions.folder(candidate), versions.archive_folder(candidate)
    if bucket.exists(source + MANIFEST_FILE):
        _move(bucket, source + MANIFEST_FILE, target + MANIFEST_FILE)
    elif not bucket.exists(target + MANIFEST_FILE):
        raise NotFound(f"there is no candidate {candidate} to archive")
    for entry in bucket.list(source):
        _move(bucket, entry.key, target + entry.key.removeprefix(source))


def half_archived(bucket: Bucket) -> list[str]:
    """Candidates whose manifest is in the archive while files of theirs are still under `models/`."""
    left = {entry.key.split("/")[1].removeprefix("price_check_") for entry in bucket.list("models/price_check_CO")}
    archived = (version for version in left if bucket.exists(versions.archive_folder(version) + MANIFEST_FILE))
    return sorted(archived, key=versions.number_of)


def is_complete(bucket: Bucket, version: str) -> bool:
    """Whether the bundle was published, be it in use or archived."""
    places = (versions.folder(version), versions.archive_folder(version))
    return any(bucket.exists(place + MANIFEST_FILE) for place in places)


def read_manifest(bucket: Bucket, version: str) -> Manifest:
    """The manifest of a bundle in use or archived. Raises ObjectNotFound, BundleRefused when it is damaged."""
    return _parse_manifest(_read_file(bucket, version, MANIFEST_FILE), version)


def read_columns(bucket: Bucket, version: str) -> Columns:
    """What the graph of a bundle takes. Raises ObjectNotFound, BundleRefused when it is damaged."""
    try:
        return Columns.model_validate_json(_read_file(bucket, version, COLUMNS_FILE))
    except ValidationError as error:
        raise BundleRefused(f"{version}: {COLUMNS_FILE} is not of its schema: {error.error_count()} errors") from None


def verify(bucket: Bucket, version: str) -> None:
    """Check every file of a published bundle in the bucket. Raises BundleRefused, ObjectNotFound."""
    for name, expected in read_manifest(bucket, version).files.items():
        _check(_read_file(bucket, version, name), expected, f"{name} of {version}")


def same_content(one: Manifest, other: Manifest) -> bool:
    """Whether two bundles hold the same model, to the byte."""
    return one.files[MODEL_FILE].sha256 == other.files[MODEL_FILE].sha256


def fetch(bucket: Bucket, version: str, into: Path) -> Path:
    """A verified local copy of a bundle, as a folder under `into`; one that is there and sound is used again.

    The folder appears complete or not at all, also with several processes at once. Raises ObjectNotFound,
    BundleRefused, StorageUnavailable.
    """
    target = into / versions.bundle_name(version)
    if _is_sound(target, version):
        return target
    body = _read_file(bucket, version, MANIFEST_FILE)
    manifest = _parse_manifest(body, version)
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=into) as temporary:
        arriving = Path(temporary) / target.name
        _download(manifest, lambda name: _read_file(bucket, version, name), arriving)
        (arriving / MANIFEST_FILE).write_bytes(body)
        Bundle.open(arriving)
        _install(arriving, target, version)
    return target


def fetch_staged(bucket: Bucket, run_id: str, into: Path) -> Path:
    """A verified local copy of the draft that a run has staged, in a new folder under `into`.

    Raises NotFound when nothing is staged, BundleRefused, StorageUnavailable.
    """
    place, folder = staging_folder(run_id), into / "draft"
    body, draft = _staged_draft(bucket, run_id)
    _download(draft, lambda name: bucket.get(place + name).body, folder)
    (folder / DRAFT_FILE).write_bytes(body)
    Bundle.open_draft(folder)
    return folder


def staging_folder(run_id: str) -> str:
    """The key prefix of a run's draft. Characters that are trouble in keys are replaced, and told apart by a digest."""
    plain = re.sub(r"[^A-Za-z0-9_.=-]", "-", run_id)
    if plain != run_id or plain.strip(".") == "":
        plain = f"{plain}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"
    return f"staging/{plain}/"


def _staged_draft(bucket: Bucket, run_id: str) -> tuple[bytes, Draft]:
    key = staging_folder(run_id) + DRAFT_FILE
    try:
        body = bucket.get(key).body
    except ObjectNotFound as error:
        raise NotFound(f"the run {run_id} has staged no bundle: there is no {key}") from error
    return body, _parse(Draft, body, key)


def _download(draft: Draft, read: Callable[[str], bytes], folder: Path) -> None:
    for name in draft.files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read(name))


def _write(bucket: Bucket, manifest: Manifest, read: Callable[[str], bytes]) -> None:
    place = versions.folder(manifest.version)
    for name, expected in manifest.files.items():
        body = read(name)
        _check(body, expected, f"{name} for {manifest.version}")
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


def _check(body: bytes, expected: FileDigest, what: str) -> None:
    found = hashlib.sha256(body).hexdigest()
    if found != expected.sha256 or len(body) != expected.size:
        raise BundleRefused(
            f"{what} has {len(body)} bytes with the digest {found}; it should be {expected.size} with {expected.sha256}"
        )


def _move(bucket: Bucket, source: str, target: str) -> None:
    try:
        bucket.copy(source, target)
    except ObjectNotFound:
        if not bucket.exists(target):  # else another process has moved it first
            raise
    bucket.delete(source)


def _read_file(bucket: Bucket, version: str, name: str) -> bytes:
    """A file of a bundle, from wherever it lies: while a candidate is archived, some are here and some are there."""
    try:
        return bucket.get(versions.folder(version) + name).body
    except ObjectNotFound:
        try:
            return bucket.get(versions.archive_folder(version) + name).body
        except ObjectNotFound:
            raise ObjectNotFound(f"there is no {name} of a bundle {version} in the bucket {bucket.name}") from None


def _install(arriving: Path, target: Path, version: str) -> None:
    """Put a verified folder in its place. Another process may do the same with the same content at the same time."""
    for _ in range(INSTALL_ATTEMPTS):
        if _is_sound(target, version):
            return
        try:
            if target.exists():
                target.replace(arriving.parent / "refused")
            arriving.replace(target)
        except OSError:  # the other one was first: look again
            continue
        return
    raise BundleRefused(f"{target.name} cannot be put into {target.parent}")


def _is_sound(folder: Path, version: str) -> bool:
    try:
        return Bundle.open(folder).version == version
    except BundleRefused:
        return False


def _parse_manifest(body: bytes, version: str) -> Manifest:
    manifest = _parse(Manifest, body, f"{MANIFEST_FILE} of {version}")
    if manifest.version != version:
        raise BundleRefused(f"the manifest in the folder of {version} says that it is {manifest.version}")
    return manifest


def _parse(schema: type[_Draft], body: bytes, what: str) -> _Draft:
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleRefused(f"{what}: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from None
