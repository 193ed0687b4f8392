"""A person's hold: until it is lifted, no automatic actor promotes, rolls back or reverts the held bundle.

The hold is stored in the bucket, so that it works while the database is unavailable. It does not change the traffic
share; `stop` does.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import Conflict, HomePricesError, ObjectNotFound
from homeprices.names import BUNDLE_KIND
from homeprices.registry import bundle_reader, versions
from homeprices.release.control_record import Clock

KEY = "control/hold.json"


class Hold(BaseModel):
    """The held bundle, the person who holds it, the time and the reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    actor: str
    reason: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.version} is held by {self.actor} since {self.at:%Y-%m-%d %H:%M} UTC: {self.reason}"


def read(bucket: Bucket) -> Hold | None:
    """Return the hold, or None. Raises StorageUnavailable, and HomePricesError for a hold that cannot be read."""
    try:
        return Hold.model_validate_json(bucket.get(KEY).body)
    except ObjectNotFound:
        return None
    except ValidationError as error:  # an unreadable hold must stop automatic actors too
        raise HomePricesError(f"{KEY} is no hold: {error.errors()[0]['msg']}") from error


def hold_on(bucket: Bucket, version: str) -> Hold | None:
    """Return the hold on this bundle, or None."""
    held = read(bucket)
    return held if held is not None and held.version == version else None


def set_hold(bucket: Bucket, version: str | None, actor: str, reason: str, *, clock: Clock = versions.utc_now) -> Hold:
    """Hold a bundle: by default the candidate, otherwise production. An existing hold on it is kept.

    Raises Conflict when there is nothing to hold.
    """
    version = (
        version
        or bundle_reader.highest(bucket, BUNDLE_KIND["candidate"])
        or bundle_reader.highest(bucket, BUNDLE_KIND["production"])
    )
    if version is None:
        raise Conflict("there is neither a candidate nor a production bundle to hold")
    versions.kind_of(version)
    if (existing := hold_on(bucket, version)) is not None:
        return existing
    hold = Hold(version=version, actor=actor, reason=reason, at=clock())
    bucket.put(KEY, hold.model_dump_json(indent=2).encode())
    return hold


def lift(bucket: Bucket) -> Hold | None:
    """Remove the hold and return it, or None."""
    existing = read(bucket)
    bucket.delete(KEY)
    return existing
