"""The control record: the running experiment, its bundles, and the candidate's share of the visitors.

The router reads nothing but `control/experiment.json`. Every change is a conditional PUT over the record that was read
(compare-and-swap), so no writer overwrites the change of another. A change of the share, or of a variant's bundle,
opens a new epoch. The epoch never decreases, so that the analysis can exclude visitors who switched variant.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import Conflict, HomePricesError, InvalidInput, ObjectNotFound, PreconditionFailed
from homeprices.names import BUNDLE_KIND, Phase
from homeprices.pricing.manifest import MANIFEST_FILE
from homeprices.registry import regional_record
from homeprices.registry.versions import archive_folder, folder, kind_of, utc_now
from homeprices.release.experiment_record import (
    MAX_SHARE,
    ControlRecord,
    first_epoch,
    in_places,
    updated,
    with_share,
)
from homeprices.release.trial_levels import LevelRule

KEY = "control/experiment.json"
CHANGE_ATTEMPTS = 20  # each failed attempt means that another writer won, and there are only a few writers

Clock = Callable[[], datetime]


def read(bucket: Bucket) -> ControlRecord:
    """Return the record; without one, an idle record. Raises StorageUnavailable, HomePricesError (damaged)."""
    return _read(bucket)[0]


def change(
    bucket: Bucket,
    fn: Callable[[ControlRecord], ControlRecord],
    actor: str,
    reason: str,
    clock: Clock = utc_now,
) -> ControlRecord:
    """Apply `fn` to the record and write the result; repeat with the newer record when another writer was first.

    `fn` may be called several times. An equal result is not written. Raises what `fn` raises, and Conflict after
    `CHANGE_ATTEMPTS` conflicts.
    """
    for _ in range(CHANGE_ATTEMPTS):
        before, etag = _read(bucket)
        after = fn(before)
        if after == before:
            return before
        if after.epoch < before.epoch:
            raise Conflict(f"epoch {after.epoch} is below {before.epoch}, and an epoch never decreases")
        after = updated(after, updated_at=clock(), updated_by=actor, reason=reason)
        try:
            bucket.put(KEY, _body(after), if_absent=etag is None, if_match=etag)
        except (PreconditionFailed, ObjectNotFound):  # S3 answers "not found" if the record was deleted meanwhile
            now = _read(bucket)[0]
            if now == after or _contains_write(now, after, before):
                return now
            continue
        return after
    raise Conflict(f"{KEY} was changed by others {CHANGE_ATTEMPTS} times in a row; try again")


def start_experiment(
    bucket: Bucket,
    production: str,
    candidate: str,
    share: float,
    actor: str,
    reason: str = "",
    *,
    clock: Clock = utc_now,
    new_salt: Callable[[], str] = lambda: secrets.token_hex(8),
    level: LevelRule | None = None,
    phase: Phase = "trial",
) -> ControlRecord:
    """Give `candidate` a share (percent) of the visitors. A repeated call starts no second experiment.

    `level` is asked with the record that the start replaces, so that two writers never spend the same error.
    Raises Conflict when the candidate is archived, or when another candidate that still exists is on trial.
    """
    _check_versions(production, candidate)
    check_share(share)
    if bucket.exists(archive_folder(candidate) + MANIFEST_FILE):
        raise Conflict(f"{candidate} has ended and is in the archive; it is not tried again")

    def begin(record: ControlRecord) -> ControlRecord:
        if record.experiment == f"{production}-{candidate}":
            return record
        if record.candidate not in (None, candidate) and bucket.exists(folder(str(record.candidate)) + MANIFEST_FILE):
            raise Conflict(f"{record.experiment} is on trial; end it before {candidate} begins")
        # The salt belongs to the candidate, so that its visitors stay the same against another production bundle.
        salt = record.salt if record.candidate == candidate else new_salt()
        at = clock()
        given = level and level(record.trials, at)
        regional = regional_record.read(bucket).versions
        return first_epoch(record, production, candidate, salt, share, at, level=given, phase=phase, regional=regional)

    return change(bucket, begin, actor, reason or f"{candidate} is tried on {share:g} % of the visitors", clock)


def set_share(
    bucket: Bucket,
    share: float,
    actor: str,
    reason: str = "",
    *,
    places: tuple[str, ...] | None = None,
    candidate: str | None = None,
    clock: Clock = utc_now,
) -> ControlRecord:
    """Change the running (or stopped) experiment's share, in percent. Zero stops it.

    Raises Conflict when idle, and when `candidate` is given and is no longer the one on trial.

    The share is that of the trial, because no automatic actor changes what a person has set: a ramp ends here. A
    change of `places` (empty: the whole city; None: no change) starts the trial again, at half of its level, because
    the evidence of some places says nothing of others.
    """
    check_share(share)
    if share == 0:
        if places is not None:
            raise InvalidInput({"places": "need a share above 0 percent"})
        return stop_share(bucket, actor, reason or "share set to 0 %", clock=clock)

    def set_to(record: ControlRecord) -> ControlRecord:
        if record.state == "idle":
            raise Conflict("no experiment is running, so there is no share to set")
        if candidate not in (None, record.candidate):
            raise Conflict(f"{candidate} is no longer on trial; {record.candidate} is")
        if places is not None and places != record.places:
            production, tried = str(record.production), str(record.candidate)
            level = record.level and record.level / 2  # policies/year.py
            salt, at, regional = record.salt, clock(), record.regional
            return first_epoch(
                record, production, tried, salt, share, at, level=level, places=places, regional=regional
            )
        unchanged = record.share == share and record.phase != "ramp"
        return record if unchanged else with_share(record, share, "running", clock(), phase="trial")

    where = "" if places is None else f" {in_places(places)}"
    return change(bucket, set_to, actor, reason or f"share set to {share:g} %{where}", clock)


def stop_share(bucket: Bucket, actor: str, reason: str, *, clock: Clock = utc_now) -> ControlRecord:
    """Set the candidate's share to zero. The experiment remains, stopped; without a running one, change nothing."""

    def stop(record: ControlRecord) -> ControlRecord:
        return record if record.state != "running" else with_share(record, 0.0, "stopped", clock())

    return change(bucket, stop, actor, reason, clock)


def end_experiment(
    bucket: Bucket, candidate: str, actor: str, reason: str, *, production: str | None = None, clock: Clock = utc_now
) -> ControlRecord:
    """End the experiment of `candidate`, if it is on trial; `production` is the bundle in production from now on."""

    def end(record: ControlRecord) -> ControlRecord:
        serving = production or record.production
        if record.candidate != candidate:
            return updated(record, production=serving) if record.state == "idle" else record
        nothing = dict.fromkeys(("experiment", "candidate", "started_at", "level", "phase"))
        return with_share(record, 0.0, "idle", clock(), **nothing, salt="", places=(), regional=(), production=serving)

    return change(bucket, end, actor, reason, clock)


def set_production(
    bucket: Bucket, production: str, actor: str, reason: str, *, clock: Clock = utc_now
) -> ControlRecord:
    """Record that another bundle is in production, general or regional.

    A running experiment restarts against it, with the same visitors.
    """

    def replace(record: ControlRecord) -> ControlRecord:
        regional = regional_record.read(bucket).versions
        if record.production == production and (record.state == "idle" or record.regional == regional):
            return record
        if record.state == "idle":
            return updated(record, production=production)
        # Half, so that all restarts together spend no more than the trial did (policies/year.py).
        level = record.level and record.level / 2
        candidate, share, phase = str(record.candidate), record.share, record.phase
        salt, state, at = record.salt, record.state, clock()
        return first_epoch(record, production, candidate, salt, share, at, state, level, phase, record.places, regional)

    _check_versions(production, None)
    return change(bucket, replace, actor, reason, clock)


def _contains_write(now: ControlRecord, written: ControlRecord, before: ControlRecord) -> bool:
    """Return whether our write took effect although the answer was "precondition failed".

    The client repeats a PUT whose answer was lost. The repeat may meet a record that another writer has derived from
    ours, and which then contains the epoch that we opened, to the microsecond.
    """
    opened = [epoch for epoch in written.epochs if epoch not in before.epochs]
    return bool(opened) and all(epoch in now.epochs for epoch in opened)


def _read(bucket: Bucket) -> tuple[ControlRecord, str | None]:
    try:
        held = bucket.get(KEY)
    except ObjectNotFound:
        return ControlRecord(), None
    try:
        return ControlRecord.model_validate_json(held.body), held.etag
    except ValidationError as error:
        raise HomePricesError(f"{KEY} is not a control record: {error.errors()[0]['msg']}") from error


def _body(record: ControlRecord) -> bytes:
    return record.model_dump_json(indent=2).encode()


def _check_versions(production: str, candidate: str | None) -> None:
    if kind_of(production) != BUNDLE_KIND["production"]:
        raise InvalidInput({"production": f"{production!r} is not a production bundle such as BO1"})
    if candidate is not None and kind_of(candidate) != BUNDLE_KIND["candidate"]:
        raise InvalidInput({"candidate": f"{candidate!r} is not a candidate such as CO1"})


def check_share(share: float) -> None:
    """Raise InvalidInput for a share, in percent, that is not allowed."""
    if not 0 <= share <= MAX_SHARE:
        raise InvalidInput({"share": f"{share!r} is not allowed; from 0 to {MAX_SHARE:g} percent"})
