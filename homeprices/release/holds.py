"""A person's hold: until it is lifted, no automatic actor ends a candidate or takes a production back.

The hold lies in the bucket, not in the database, because it must hold whatever is away. Visitors are not touched: to
send them all to production is `stop`.
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
    """What is held, by whom, since when and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    actor: str
    reason: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.version} is held by {self.actor} since {self.at:%Y-%m-%d %H:%M} UTC: {self.reason}"


def read(bucket: Bucket) -> Hold | None:
    """The hold, if there is one. Raises StorageUnavailable, and HomePricesError for one that cannot be read."""
    try:
        return Hold.model_validate_json(bucket.get(KEY).body)
    except ObjectNotFound:
        return None
    except ValidationError as error:  # somebody held something: nothing automatic may go on as if nobody had
        raise HomePricesError(f"{KEY} is no hold: {error.errors()[0]['msg']}") from error


def hold_on(bucket: Bucket, version: str) -> Hold | None:
    """The hold of this bundle, if it is held."""
    held = read(bucket)
    return held if held is not None and held.version == version else None


def set_hold(bucket: Bucket, version: str | None, actor: str, reason: str, *, clock: Clock = versions.utc_now) -> Hold:
    """Hold a bundle: by default the candidate, or production where there is none. Held again, the first hold stands.

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
    if (standing := hold_on(bucket, version)) is not None:
        return standing
    hold = Hold(version=version, actor=actor, reason=reason, at=clock())
    bucket.put(KEY, hold.model_dump_json(indent=2).encode())
    return hold


def lift(bucket: Bucket) -> Hold | None:
    """Lift the hold, and return what it was; None when nothing was held."""
    standing = read(bucket)
    bucket.delete(KEY)
    return standing
