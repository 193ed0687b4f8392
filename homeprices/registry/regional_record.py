"""The regional bundles in production: which places each has, since when, and what ended it.

The services choose among the general bundle (`BO`) and those of this record by the place of a home. Every change is a
conditional PUT over the record that was read, so no writer overwrites the change of another. An entry is never removed
while its promotion could be repeated: it is ended, so that a repeated promotion does not bring it back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import Conflict, HomePricesError, ObjectNotFound, PreconditionFailed
from homeprices.names import BUNDLE_KIND
from homeprices.registry.versions import REGIONS_KEY, kind_of, number_of, utc_now

MOST_PLACES = 500
"""Places of a trial, and so of a regional bundle."""

MOST_IN_PRODUCTION = 3
"""Regional bundles at a time: each takes the memory of a model in every worker."""

KEPT = 20  # entries; the oldest ended ones leave the record first
CHANGE_ATTEMPTS = 20


class RegionalBundle(BaseModel):
    """A regional bundle. `places` are keys as `key_of` makes them; `over` was the general bundle when it came.

    `ended_by` is the production bundle that took its place in the whole city, or the actor who took it back; None while
    it is in production.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(pattern=r"^RO[1-9][0-9]*$")]
    places: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_PLACES)]
    over: str
    since: datetime
    ended_by: str | None = None


class RegionalRecord(BaseModel):
    """All regional bundles, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    bundles: tuple[RegionalBundle, ...] = ()
    updated_at: datetime | None = None
    updated_by: str = ""
    reason: str = ""

    @property
    def in_production(self) -> tuple[RegionalBundle, ...]:
        """The bundles that have not ended, oldest first."""
        return tuple(bundle for bundle in self.bundles if bundle.ended_by is None)

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of the bundles in production, oldest first."""
        return tuple(bundle.version for bundle in self.in_production)

    @property
    def version_by_place(self) -> dict[str, str]:
        """The regional version of each place that has one; of several, the newest."""
        return {place: bundle.version for bundle in self.in_production for place in bundle.places}

    def find(self, version: str) -> RegionalBundle | None:
        """Return the entry of a version, ended or not, or None."""
        return next((bundle for bundle in self.bundles if bundle.version == version), None)


def read(bucket: Bucket) -> RegionalRecord:
    """Return the record; without one, an empty record. Raises StorageUnavailable, HomePricesError (damaged)."""
    return _read(bucket)[0]


def parse(body: bytes) -> RegionalRecord:
    """Return the record in a body. Raises HomePricesError."""
    try:
        return RegionalRecord.model_validate_json(body)
    except ValidationError as error:
        raise HomePricesError(f"{REGIONS_KEY} is no regional record: {error.errors()[0]['msg']}") from error


def require_room(bucket: Bucket, places: tuple[str, ...]) -> None:
    """Raise Conflict if there can be no further regional bundle for these places."""
    _with_room(read(bucket).in_production, places)


def add(
    bucket: Bucket,
    version: str,
    places: tuple[str, ...],
    over: str,
    actor: str,
    reason: str,
    *,
    clock: Callable[[], datetime] = utc_now,
) -> RegionalRecord:
    """Put a regional bundle into production for some places. A bundle that the record has, ended or not, stays.

    A bundle whose every place is among the new ones ends, if there is no room otherwise. Raises Conflict without room.
    """

    def added(record: RegionalRecord) -> tuple[RegionalBundle, ...]:
        if record.find(version) is not None:
            return record.bundles
        kept = _with_room(record.in_production, places)
        ended = [
            bundle if bundle.ended_by or bundle in kept else bundle.model_copy(update={"ended_by": version})
            for bundle in record.bundles
        ]
        return (*ended, RegionalBundle(version=version, places=places, over=over, since=clock()))

    return _change(bucket, added, actor, reason, clock)


def end(
    bucket: Bucket, version: str, by: str, reason: str, *, clock: Callable[[], datetime] = utc_now
) -> RegionalRecord:
    """Take a regional bundle out of production: its places get what they had before. One that has ended stays so."""

    def ended(record: RegionalRecord) -> tuple[RegionalBundle, ...]:
        found = record.find(version)
        if found is None or found.ended_by is not None:
            return record.bundles
        return _ended(_restored(record.bundles, version), by, lambda bundle: bundle.version == version)

    return _change(bucket, ended, by, reason, clock)


def end_before(
    bucket: Bucket, production: str, actor: str, reason: str, *, clock: Callable[[], datetime] = utc_now
) -> RegionalRecord:
    """End the bundles that came before a production bundle: its trial compared it with all of production."""

    def ended(record: RegionalRecord) -> tuple[RegionalBundle, ...]:
        return _ended(record.bundles, production, lambda bundle: number_of(bundle.over) < number_of(production))

    return _change(bucket, ended, actor, reason, clock)


def restore(
    bucket: Bucket, production: str, actor: str, reason: str, *, clock: Callable[[], datetime] = utc_now
) -> RegionalRecord:
    """Put the bundles into production again that a production bundle has ended, because that bundle is taken back."""

    return _change(bucket, lambda record: _restored(record.bundles, production), actor, reason, clock)


def taken_back(record: RegionalRecord) -> list[str]:
    """Return the bundles that an actor took back, newest first; not those that another bundle has replaced."""
    return [bundle.version for bundle in reversed(record.bundles) if bundle.ended_by and not _is_version(bundle)]


def _is_version(bundle: RegionalBundle) -> bool:
    by = str(bundle.ended_by)
    return by[:2] in (BUNDLE_KIND["production"], kind_of(bundle.version)) and by[2:].isdecimal()


def _with_room(bundles: tuple[RegionalBundle, ...], places: tuple[str, ...]) -> tuple[RegionalBundle, ...]:
    """Return the bundles that stay in production beside a new one. Raises Conflict."""
    if len(bundles) < MOST_IN_PRODUCTION:
        return bundles
    kept = tuple(bundle for bundle in bundles if not set(bundle.places) <= set(places))
    if len(kept) < MOST_IN_PRODUCTION:
        return kept
    names = ", ".join(bundle.version for bundle in bundles)
    raise Conflict(
        f"{MOST_IN_PRODUCTION} regional bundles are in production ({names}), which is the most; take one back first: "
        f"`homeprices release revert --regional {bundles[0].version} --reason ...`"
    )


def _ended(
    bundles: tuple[RegionalBundle, ...], by: str, which: Callable[[RegionalBundle], bool]
) -> tuple[RegionalBundle, ...]:
    return tuple(
        bundle.model_copy(update={"ended_by": by}) if bundle.ended_by is None and which(bundle) else bundle
        for bundle in bundles
    )


def _restored(bundles: tuple[RegionalBundle, ...], ended_by: str) -> tuple[RegionalBundle, ...]:
    """Put into production what a bundle, which leaves, has ended: the newest, as far as there is room."""
    stay = [bundle for bundle in bundles if bundle.ended_by is None and bundle.version != ended_by]
    ended = [bundle.version for bundle in bundles if bundle.ended_by == ended_by]
    returning = ended[max(len(ended) + len(stay) - MOST_IN_PRODUCTION, 0) :]
    return tuple(
        bundle.model_copy(update={"ended_by": None}) if bundle.version in returning else bundle for bundle in bundles
    )


def _change(
    bucket: Bucket,
    fn: Callable[[RegionalRecord], tuple[RegionalBundle, ...]],
    actor: str,
    reason: str,
    clock: Callable[[], datetime],
) -> RegionalRecord:
    """Write the changed bundles; repeat with the newer record when another writer was first. An equal one is kept."""
    for _ in range(CHANGE_ATTEMPTS):
        before, etag = _read(bucket)
        bundles = fn(before)
        if bundles == before.bundles:
            return before
        after = RegionalRecord(bundles=_newest(bundles), updated_at=clock(), updated_by=actor, reason=reason)
        try:
            bucket.put(REGIONS_KEY, after.model_dump_json(indent=2).encode(), if_absent=etag is None, if_match=etag)
        except (PreconditionFailed, ObjectNotFound):  # another writer, or the repetition of our own PUT
            continue
        return after
    raise Conflict(f"{REGIONS_KEY} was changed by others {CHANGE_ATTEMPTS} times in a row; try again")


def _newest(bundles: tuple[RegionalBundle, ...]) -> tuple[RegionalBundle, ...]:
    spare = len(bundles) - KEPT
    ended = [bundle for bundle in bundles if bundle.ended_by is not None][: max(spare, 0)]
    return tuple(bundle for bundle in bundles if bundle not in ended)


def _read(bucket: Bucket) -> tuple[RegionalRecord, str | None]:
    try:
        held = bucket.get(REGIONS_KEY)
    except ObjectNotFound:
        return RegionalRecord(), None
    return parse(held.body), held.etag
