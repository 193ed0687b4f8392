"""A person's holds: until it is lifted, no automatic actor promotes, rolls back or reverts the held bundle.

A hold of the phase `shadow` keeps every candidate from the slot, and a person may let one candidate skip that phase.
Both are stored in the bucket, so that they work while the database is unavailable. A hold does not change the traffic
share; `stop` does.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import Conflict, HomePricesError, ObjectNotFound, PreconditionFailed
from homeprices.names import BUNDLE_KIND, Phase
from homeprices.registry import bundle_reader, versions
from homeprices.release.control_record import Clock

KEY = "control/hold.json"
SHADOW: Final[Phase] = "shadow"
"""In place of a version: what comes next, and has no version yet."""

SHADOW_KEY = "control/shadow-hold.json"
SKIP_KEY = "control/shadow-skip.json"


class Hold(BaseModel):
    """The held bundle, the person who holds it, the time and the reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    actor: str
    reason: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.version} is held by {self.actor} since {self.at:%Y-%m-%d %H:%M} UTC: {self.reason}"


class ShadowSkip(BaseModel):
    """A person's decision that one candidate skips the comparison in shadow: that of `run`, None for the next one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str | None
    actor: str
    reason: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.actor} let the candidate skip the comparison in shadow: {self.reason}"


def read(bucket: Bucket, key: str = KEY) -> Hold | None:
    """Return the hold, or None. Raises StorageUnavailable, and HomePricesError for a hold that cannot be read."""
    try:
        return Hold.model_validate_json(bucket.get(key).body)
    except ObjectNotFound:
        return None
    except ValidationError as error:  # an unreadable hold must stop automatic actors too
        raise HomePricesError(f"{key} is no hold: {error.errors()[0]['msg']}") from error


def every(bucket: Bucket) -> list[Hold]:
    """Return the hold of a bundle and that of the phase `shadow`, as far as there are."""
    return [held for key in (KEY, SHADOW_KEY) if (held := read(bucket, key)) is not None]


def hold_on(bucket: Bucket, version: str) -> Hold | None:
    """Return the hold on this bundle, or on the phase `shadow`, or None."""
    held = read(bucket, _key_of(version))
    return held if held is not None and held.version == version else None


def set_hold(bucket: Bucket, version: str | None, actor: str, reason: str, *, clock: Clock = versions.utc_now) -> Hold:
    """Hold a bundle, or the phase `shadow`: by default the candidate, else production. An existing hold is kept.

    Raises Conflict when there is nothing to hold.
    """
    version = (
        version
        or bundle_reader.highest(bucket, BUNDLE_KIND["candidate"])
        or bundle_reader.highest(bucket, BUNDLE_KIND["production"])
    )
    if version is None:
        raise Conflict("there is neither a candidate nor a production bundle to hold")
    if version != SHADOW:
        versions.kind_of(version)
    if (existing := hold_on(bucket, version)) is not None:
        return existing
    hold = Hold(version=version, actor=actor, reason=reason, at=clock())
    bucket.put(_key_of(version), hold.model_dump_json(indent=2).encode())
    return hold


def lift(bucket: Bucket, key: str = KEY) -> Hold | None:
    """Remove the hold and return it, or None."""
    existing = read(bucket, key)
    bucket.delete(key)
    return existing


def skip_shadow(
    bucket: Bucket, run: str | None, actor: str, reason: str, *, clock: Clock = versions.utc_now
) -> ShadowSkip:
    """Let the candidate of a run skip the comparison in shadow, None for the next one; replace an earlier skip.

    The same skip for the same reason is kept, also if a candidate has used it: a retry lets no second one skip.
    """
    existing = _skip(bucket)[0]
    if existing and (existing.actor, existing.reason) == (actor, reason) and run in (None, existing.run):
        return existing
    skip = ShadowSkip(run=run, actor=actor, reason=reason, at=clock())
    bucket.put(SKIP_KEY, skip.model_dump_json(indent=2).encode())
    return skip


def shadow_skip(bucket: Bucket, run: str, *, comes: bool) -> ShadowSkip | None:
    """Return the skip that is for the candidate of a run, None without one.

    A candidate that `comes` takes a skip that is for the next one, once.
    """
    skip, etag = _skip(bucket)
    if comes and skip is not None and skip.run is None:
        used = skip.model_copy(update={"run": run})
        with suppress(PreconditionFailed, ObjectNotFound):  # another candidate was first, or our own repeated PUT
            bucket.put(SKIP_KEY, used.model_dump_json(indent=2).encode(), if_match=etag)
        skip = _skip(bucket)[0]
    return skip if skip is not None and skip.run == run else None


def end_skip(bucket: Bucket, run: str) -> None:
    """End a skip that is for the candidate of a run, because a person wants the comparison."""
    skip = _skip(bucket)[0]
    if skip is not None and skip.run == run:  # no run has this name; the pipeline may not delete the skip
        bucket.put(SKIP_KEY, skip.model_copy(update={"run": ""}).model_dump_json(indent=2).encode())


def _skip(bucket: Bucket) -> tuple[ShadowSkip | None, str | None]:
    try:
        found = bucket.get(SKIP_KEY)
        return ShadowSkip.model_validate_json(found.body), found.etag
    except ObjectNotFound:
        return None, None
    except ValidationError as error:
        raise HomePricesError(f"{SKIP_KEY} is no skip: {error.errors()[0]['msg']}") from error


def _key_of(version: str) -> str:
    return SHADOW_KEY if version == SHADOW else KEY
