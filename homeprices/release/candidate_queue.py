"""The queue of candidates: one has the slot and is tried, the others wait.

A candidate that waits is complete but not published (`bundle_reader.waiting`), so no replica serves it. The slot is
`control/slot.json`, changed by compare-and-swap. Only the candidate that it names is published. So of several writers
one gets the slot, and a writer that dies between the two steps leaves the second to the next caller.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import HomePricesError, ObjectNotFound, PreconditionFailed
from homeprices.names import BUNDLE_KIND
from homeprices.pricing.manifest import MANIFEST_FILE, WAITING_FILE
from homeprices.registry import bundle_publisher, bundle_reader, versions
from homeprices.release import holds, promotion
from homeprices.release.control_record import Clock

KEY = "control/slot.json"
MOST_WAITING = 4
"""Candidates that wait at most. Each costs a shadow comparison when the slot becomes free, up to half a minute."""


class Slot(BaseModel):
    """The candidate that has, or had, the slot, who gave it, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    actor: str
    reason: str
    at: datetime


def holder(bucket: Bucket) -> str | None:
    """Return the candidate that has the slot, None if the slot is free. It may not be published yet."""
    return _read(bucket)[0]


def waiting(bucket: Bucket) -> list[str]:
    """Return the candidates that wait for the slot, lowest number first."""
    taken = holder(bucket)
    found = (version for version in bundle_reader.waiting(bucket) if version != taken)
    return [version for version in found if promotion.outcome_of(bucket, version) is None]


def take(bucket: Bucket, candidate: str, actor: str, reason: str, *, clock: Clock = versions.utc_now) -> str | None:
    """Give a candidate the slot if that is free, publish the candidate that has it, and return it."""
    taken, etag = _read(bucket)
    if taken is None:
        slot = Slot(candidate=candidate, actor=actor, reason=reason, at=clock())
        with suppress(PreconditionFailed, ObjectNotFound):  # another writer, or our own repeated PUT
            bucket.put(KEY, slot.model_dump_json(indent=2).encode(), if_absent=etag is None, if_match=etag)
        taken = holder(bucket)
    if taken is not None:
        bundle_publisher.publish_waiting(bucket, taken)
    return taken


def drop_oldest(bucket: Bucket, actor: str, *, clock: Clock = versions.utc_now) -> list[str]:
    """Withdraw the oldest of more than `MOST_WAITING` candidates, and return those. One that is held stays.

    The oldest, because they were trained on the oldest data.
    """
    candidates = [version for version in waiting(bucket) if holds.hold_on(bucket, version) is None]
    surplus = candidates[: max(0, len(candidates) - MOST_WAITING)]
    for version in surplus:
        promotion.withdraw(bucket, version, actor, f"{MOST_WAITING} newer candidates wait", clock=clock)
    return surplus


def why_waiting(bucket: Bucket) -> dict[str, str]:
    """Return for each candidate that waits why it does, as a sentence."""
    taken, held = holder(bucket), holds.read(bucket)
    reason = f"{taken} has the slot" if taken else "the next evaluation gives the slot to the best that waits"
    if (shadow := holds.hold_on(bucket, holds.SHADOW)) is not None:
        reason = str(shadow)
    found = bundle_reader.waiting(bucket)
    return {version: str(held) if held and held.version == version else reason for version in found if version != taken}


def _read(bucket: Bucket) -> tuple[str | None, str | None]:
    """Return the candidate that has the slot, and the ETag of the record, which may name one that has ended."""
    try:
        found = bucket.get(KEY)
    except ObjectNotFound:
        return _published(bucket), None
    try:
        slot = Slot.model_validate_json(found.body)
    except ValidationError as error:
        raise HomePricesError(f"{KEY} is no slot: {error.errors()[0]['msg']}") from error
    return slot.candidate if _exists(bucket, slot.candidate) else _published(bucket), found.etag


def _exists(bucket: Bucket, candidate: str) -> bool:
    """Return whether a candidate is in `models/` and not in the archive."""
    if bucket.exists(versions.archive_folder(candidate) + MANIFEST_FILE):
        return False
    return any(bucket.exists(versions.folder(candidate) + name) for name in (WAITING_FILE, MANIFEST_FILE))


def _published(bucket: Bucket) -> str | None:
    """Return the candidate that was published without a slot: by an earlier release of this software, or by hand."""
    return bundle_reader.highest(bucket, BUNDLE_KIND["candidate"])
