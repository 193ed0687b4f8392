"""Reads bundles from the bucket: which are published, their manifests, and verified local copies.

A folder without `manifest.json` does not exist to a reader, and neither does a folder that somebody made by hand: one
of another name, or a copy whose manifest names another version. `ignored_folders` names them.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

from pydantic import ValidationError

from homeprices.adapters.object_store import Bucket, Entry
from homeprices.errors import BundleRefused, NotFound, ObjectNotFound
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND, REGIONAL_KIND, BundleKind
from homeprices.pricing.bundle import COLUMNS_FILE, Bundle
from homeprices.pricing.manifest import DRAFT_FILE, MANIFEST_FILE, WAITING_FILE, Columns, Draft, FileDigest, Manifest
from homeprices.registry import versions
from homeprices.registry.versions import BUNDLE_FILE_KEY, number_of


def published(bucket: Bucket, kind: BundleKind) -> list[str]:
    """Return every complete bundle of a kind under `models/`, lowest number first."""
    return complete_bundles(bucket, f"models/price_check_{kind}")


def complete_bundles(bucket: Bucket, prefix: str) -> list[str]:
    """Return every complete bundle with a key below `prefix`, lowest number first."""
    manifests: dict[str, Entry] = {}
    for entry in bucket.list(prefix):
        match = BUNDLE_FILE_KEY.fullmatch(entry.key) if entry.key.endswith(f"/{MANIFEST_FILE}") else None
        if match and match[2] == MANIFEST_FILE:
            manifests[match[1]] = entry
    copies = _copies(bucket, manifests)
    return sorted(manifests.keys() - copies, key=number_of)


def waiting(bucket: Bucket) -> list[str]:
    """Return the candidates that are complete but not published, because they wait; lowest number first.

    They have `waiting.json` in place of `manifest.json`, so no replica serves them.
    """
    names: dict[str, set[str]] = {}
    for entry in bucket.list(f"models/price_check_{BUNDLE_KIND['candidate']}"):
        if match := BUNDLE_FILE_KEY.fullmatch(entry.key):
            names.setdefault(match[1], set()).add(match[2])
    waits = (version for version, files in names.items() if WAITING_FILE in files and MANIFEST_FILE not in files)
    found = [version for version in waits if not bucket.exists(versions.archive_folder(version) + MANIFEST_FILE)]
    return sorted(found, key=number_of)


def _copies(bucket: Bucket, manifests: dict[str, Entry]) -> set[str]:
    """Return the versions whose folder is a copy of another bundle, made by hand.

    A version with a claim was written by the pipeline. For the others, the manifest is read, once per open bucket.
    """
    judged = _COPY_OF.setdefault(bucket, {})
    unknown = {version for version, entry in manifests.items() if (entry.key, entry.etag) not in judged}
    if unknown:
        claimed = {entry.key.removeprefix("claims/").removesuffix(".json") for entry in bucket.list("claims/")}
        for version in unknown:
            entry = manifests[version]
            named = version if version in claimed else _named_version(bucket, entry.key, version)
            if named != version:
                log.warning("bundle_folder_ignored", folder=entry.key.rpartition("/")[0], copy_of=named)
            judged[entry.key, entry.etag] = named
    return {version for version, entry in manifests.items() if judged[entry.key, entry.etag] != version}


def _named_version(bucket: Bucket, key: str, version: str) -> str:
    """Return the version that a manifest names; `version` when it names none: damaged bundles are no copies."""
    try:
        named = json.loads(bucket.get(key).body)["version"]
    except (ObjectNotFound, ValueError, KeyError, TypeError):
        return version
    return named if isinstance(named, str) else version


def ignored_folders(bucket: Bucket) -> list[str]:
    """Return the folders under `models/` that are no bundles and that no process is writing: somebody made them."""
    folders: dict[str, str | None] = {}
    for entry in bucket.list("models/"):
        match = BUNDLE_FILE_KEY.fullmatch(entry.key)
        folder = "/".join(entry.key.split("/")[:2])
        folders[folder] = match[1] if match else folders.get(folder)
    folders.pop(versions.REGIONS_KEY, None)
    own = {version for kind in (*BUNDLE_KIND.values(), REGIONAL_KIND) for version in published(bucket, kind)}
    # A claimed version without a manifest is being written, was interrupted, or is being archived.
    own |= {entry.key.removeprefix("claims/").removesuffix(".json") for entry in bucket.list("claims/")}
    return sorted(folder for folder, version in folders.items() if version not in own)


def warn_of_ignored_folders(bucket: Bucket) -> None:
    """Log the folders under `models/` that somebody made by hand and that every process ignores."""
    if folders := ignored_folders(bucket):
        log.warning("bucket_folders_ignored", folders=folders[:FOLDERS_NAMED], number=len(folders))


def highest(bucket: Bucket, kind: BundleKind) -> str | None:
    """Return the bundle in production (`BO`) or the candidate (`CO`), or None."""
    complete = published(bucket, kind)
    return complete[-1] if complete else None


FOLDERS_NAMED = 20
INSTALL_ATTEMPTS = 5  # each failed attempt means that another process installed the same bundle meanwhile

_PLACES = (versions.folder, versions.archive_folder)

_Draft = TypeVar("_Draft", bound=Draft)

_COPY_OF: WeakKeyDictionary[Bucket, dict[tuple[str, str], str]] = WeakKeyDictionary()
"""By bucket: the version that a manifest (key, ETag) names. Manifests never change, so each is read once."""

log = get_logger(__name__)


def partially_archived(bucket: Bucket) -> list[str]:
    """Return candidates whose manifest is archived while other files are still under `models/`."""
    matches = (BUNDLE_FILE_KEY.fullmatch(entry.key) for entry in bucket.list("models/price_check_CO"))
    left = {match[1] for match in matches if match}
    archived = (version for version in left if bucket.exists(versions.archive_folder(version) + MANIFEST_FILE))
    return sorted(archived, key=versions.number_of)


def is_complete(bucket: Bucket, version: str) -> bool:
    """Return whether the bundle was published, and is in use or archived, or waits as a candidate."""
    # A candidate that stops waiting gets its next name before it loses this one.
    keys = (versions.folder(version) + WAITING_FILE, *(place(version) + MANIFEST_FILE for place in _PLACES))
    return any(bucket.exists(key) for key in keys)


def read_manifest(bucket: Bucket, version: str) -> Manifest:
    """Return the manifest of a bundle in use or archived. Raises ObjectNotFound, BundleRefused when it is damaged."""
    return _parse_manifest(read_file(bucket, version, MANIFEST_FILE), version)


def read_columns(bucket: Bucket, version: str) -> Columns:
    """Return the input columns of a bundle's graph. Raises ObjectNotFound, BundleRefused when they are damaged."""
    try:
        return Columns.model_validate_json(read_file(bucket, version, COLUMNS_FILE))
    except ValidationError as error:
        raise BundleRefused(f"{version}: {COLUMNS_FILE} is not of its schema: {error.error_count()} errors") from None


def verify(bucket: Bucket, version: str) -> None:
    """Check every file of a published bundle in the bucket. Raises BundleRefused, ObjectNotFound."""
    for name, expected in read_manifest(bucket, version).files.items():
        require_digest(read_file(bucket, version, name), expected, f"{name} of {version}")


def fetch(bucket: Bucket, version: str, into: Path) -> Path:
    """Return a verified local copy of a bundle, a folder under `into`. An intact earlier copy is reused.

    The folder appears complete or not at all, even if several processes fetch it concurrently. Raises ObjectNotFound,
    BundleRefused, StorageUnavailable.
    """
    target = into / versions.bundle_name(version)
    if _is_sound(target, version):
        return target
    body = read_file(bucket, version, MANIFEST_FILE)
    manifest = _parse_manifest(body, version)
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=into) as temporary:
        arriving = Path(temporary) / target.name
        _download(manifest, lambda name: read_file(bucket, version, name), arriving)
        (arriving / MANIFEST_FILE).write_bytes(body)
        Bundle.open(arriving)
        _install(arriving, target, version)
    return target


def fetch_staged(bucket: Bucket, run_id: str, into: Path) -> Path:
    """Return a verified local copy of a run's draft, in a new folder under `into`.

    Raises NotFound when there is no draft, BundleRefused, StorageUnavailable.
    """
    prefix, folder = staging_folder(run_id), into / "draft"
    body, draft = staged_draft(bucket, run_id)
    _download(draft, lambda name: bucket.get(prefix + name).body, folder)
    (folder / DRAFT_FILE).write_bytes(body)
    Bundle.open_draft(folder)
    return folder


def staging_folder(run_id: str) -> str:
    """Return the key prefix of a run's draft. Unsafe characters are replaced, and a digest keeps the prefix unique."""
    plain = re.sub(r"[^A-Za-z0-9_.=-]", "-", run_id)
    if plain != run_id or plain.strip(".") == "":
        plain = f"{plain}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"
    return f"staging/{plain}/"


def staged_draft(bucket: Bucket, run_id: str) -> tuple[bytes, Draft]:
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


def require_digest(body: bytes, expected: FileDigest, what: str) -> None:
    actual = hashlib.sha256(body).hexdigest()
    if actual != expected.sha256 or len(body) != expected.size:
        raise BundleRefused(
            f"{what} has {len(body)} bytes with the digest {actual}; "
            f"it should be {expected.size} with {expected.sha256}"
        )


def read_file(bucket: Bucket, version: str, name: str) -> bytes:
    """Return a file of a bundle, from `models/` or `archive/`. While a candidate is archived, its files are in both.

    The manifest of a candidate that waits has another name.
    """
    keys = [place(version) + name for place in _PLACES]
    if name == MANIFEST_FILE and versions.kind_of(version) == BUNDLE_KIND["candidate"]:
        keys.insert(0, versions.folder(version) + WAITING_FILE)
    for key in keys:
        try:
            return bucket.get(key).body
        except ObjectNotFound:
            continue
    raise ObjectNotFound(f"there is no {name} of a bundle {version} in the bucket {bucket.name}")


def _install(arriving: Path, target: Path, version: str) -> None:
    """Move a verified folder to its target. Another process may install the same content at the same time."""
    for _ in range(INSTALL_ATTEMPTS):
        if _is_sound(target, version):
            return
        try:
            if target.exists():
                target.replace(arriving.parent / "refused")
            arriving.replace(target)
        except OSError:  # another process was first; check its result
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
