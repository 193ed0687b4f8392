"""Promotion, rollback and revert: the ends of a trial, and the return of an earlier production bundle.

Each function can be killed after any step and called again, by any caller, because a conditional PUT decides the
outcome of a candidate once, and every step checks what is already done.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any, Literal

from homeprices.adapters.object_store import Bucket
from homeprices.errors import Conflict, NotFound, ObjectNotFound, PreconditionFailed
from homeprices.names import BUNDLE_KIND, REGIONAL_KIND
from homeprices.pricing.manifest import MANIFEST_FILE, WAITING_FILE
from homeprices.registry import bundle_publisher, bundle_reader, regional_record, versions
from homeprices.release import control_record

Outcome = Literal["promote", "rollback", "withdraw"]
"""How the way of a candidate ends. One that is withdrawn waited, and never met a visitor."""

Wait = Callable[[str], None]

_VERB = {"promote": "promote", "rollback": "roll back", "withdraw": "withdraw"}
_UNDONE = {"rollback": "rollback", "withdraw": "withdrawal"}


def promote(
    bucket: Bucket,
    candidate: str,
    wait: Wait,
    actor: str,
    reason: str,
    *,
    places: tuple[str, ...] = (),
    clock: control_record.Clock = versions.utc_now,
) -> str:
    """Make the candidate's bundle the next BO, or the next RO for some places, and return that version.

    Copies the bundle, calls `wait(version)` (which returns when production serves it, or raises NotReady), ends the
    experiment, and archives the candidate. The candidate keeps its share until production serves its model. A BO takes
    the place of all regional bundles, because its trial compared it with all of production. The first call decides the
    places; a repeated one keeps them. Raises Conflict when there is no room for another regional bundle.
    """
    if places and outcome_of(bucket, candidate) is None:
        regional_record.require_room(bucket, places)
    claim_outcome(bucket, candidate, "promote", actor, reason, places=places, clock=clock)
    if places := _claimed_places(bucket, candidate):
        version = _publish_regional(bucket, candidate, places, actor, reason, clock)
        serves = version in regional_record.read(bucket).versions
    else:
        version = bundle_publisher.republish(bucket, candidate, owner=f"promote:{candidate}", published_by=actor)
        serves = bundle_reader.highest(bucket, BUNDLE_KIND["production"]) == version
    if serves:  # otherwise it has been taken back
        wait(version)
        if not places:
            regional_record.end_before(bucket, version, actor, reason, clock=clock)
    _end_trial(bucket, candidate, actor, reason, clock)
    return version


def _publish_regional(
    bucket: Bucket,
    candidate: str,
    places: tuple[str, ...],
    actor: str,
    reason: str,
    clock: control_record.Clock,
) -> str:
    owner = f"promote:{candidate}"
    version = bundle_publisher.republish(bucket, candidate, owner=owner, published_by=actor, kind=REGIONAL_KIND)
    general = bundle_reader.highest(bucket, BUNDLE_KIND["production"])
    if general is None:
        raise Conflict("there is no production bundle yet, so there is none beside which a regional one could stand")
    regional_record.add(bucket, version, places, general, actor, reason, clock=clock)
    return version


def roll_back(
    bucket: Bucket, candidate: str, actor: str, reason: str, *, clock: control_record.Clock = versions.utc_now
) -> None:
    """End the trial of a candidate without promotion: set its share to zero and archive its bundle."""
    claim_outcome(bucket, candidate, "rollback", actor, reason, clock=clock)
    _end_trial(bucket, candidate, actor, reason, clock)


def withdraw(
    bucket: Bucket, candidate: str, actor: str, reason: str, *, clock: control_record.Clock = versions.utc_now
) -> None:
    """Archive a candidate that waits. If its trial begins at this moment, end that too."""
    claim_outcome(bucket, candidate, "withdraw", actor, reason, clock=clock)
    _end_trial(bucket, candidate, actor, reason, clock)


def revert(
    bucket: Bucket, to: str, wait: Wait, actor: str, reason: str, *, clock: control_record.Clock = versions.utc_now
) -> str:
    """Republish an earlier BO as the next BO, wait until production serves it, and return the new version.

    A running experiment restarts against it. A repeated call reverts once. The regional bundles that the last promotion
    has ended return with the bundle that it replaced. Raises Conflict when `to` is in production already, NotFound when
    there is no such bundle.
    """
    if versions.kind_of(to) != BUNDLE_KIND["production"]:
        raise Conflict(f"{to} is no production bundle; only a BO can be brought back")
    production = bundle_reader.highest(bucket, BUNDLE_KIND["production"])
    if production == to or production is None:
        raise Conflict(f"{to} is in production already" if production else "there is no production bundle yet")
    if bundle_reader.read_manifest(bucket, production).promoted_from == to:
        version = production  # an earlier call got this far
    else:
        version = bundle_publisher.republish(bucket, to, owner=f"revert:{to}:over:{production}", published_by=actor)
    before, reverted = ([None, None, *bundle_reader.published(bucket, BUNDLE_KIND["production"])])[-3:-1]
    if before == to and reverted is not None:
        regional_record.restore(bucket, reverted, actor, reason, clock=clock)
    wait(version)
    control_record.set_production(bucket, version, actor, reason, clock=clock)
    return version


def take_back(
    bucket: Bucket, version: str, wait: Wait, actor: str, reason: str, *, clock: control_record.Clock = versions.utc_now
) -> str:
    """Take a regional bundle out of production, wait until no replica serves it, and return the general version.

    A running experiment restarts, because what production serves has changed. A repeated call changes nothing. Raises
    NotFound for a version that never was regional production.
    """
    general = bundle_reader.highest(bucket, BUNDLE_KIND["production"])
    if general is None or regional_record.read(bucket).find(version) is None:
        raise NotFound(f"{version} is no regional bundle of production")
    regional_record.end(bucket, version, actor, reason, clock=clock)
    wait(version)
    control_record.set_production(bucket, general, actor, reason, clock=clock)
    return general


def resume_interrupted(bucket: Bucket, actor: str, *, clock: control_record.Clock = versions.utc_now) -> list[str]:
    """Finish what an interrupted run left incomplete. Return one sentence for each thing that was done.

    Completes decided rollbacks and withdrawals, and ends an experiment whose candidate is archived. Leaves a decided
    promotion to the promoting task, because it has to wait for production. If several candidates were published without
    the queue, archives those that are not on trial: only one candidate is tried at a time.
    """
    done = []
    published = bundle_reader.published(bucket, BUNDLE_KIND["candidate"])
    ending = {*bundle_reader.partially_archived(bucket), *published, *bundle_reader.waiting(bucket)}
    for candidate in sorted(ending, key=versions.number_of):
        if (outcome := outcome_of(bucket, candidate)) in _UNDONE:
            _end_trial(bucket, candidate, actor, f"an interrupted {_UNDONE[outcome]} was finished", clock)
            done.append(f"the {_UNDONE[outcome]} of {candidate} was finished")
    return done + _leave_one_candidate(bucket, actor, clock)


def _leave_one_candidate(bucket: Bucket, actor: str, clock: control_record.Clock) -> list[str]:
    done = []
    record = control_record.read(bucket)
    on_trial = record.candidate
    if on_trial and bucket.exists(versions.archive_folder(on_trial) + MANIFEST_FILE):
        control_record.end_experiment(bucket, on_trial, actor, f"{on_trial} is in the archive", clock=clock)
        done.append(f"the experiment {record.experiment} was ended, because {on_trial} is in the archive")
        on_trial = None
    candidates = bundle_reader.published(bucket, BUNDLE_KIND["candidate"])
    kept = on_trial or (candidates[-1] if candidates else None)
    spare = [candidate for candidate in candidates if candidate != kept and outcome_of(bucket, candidate) is None]
    for candidate in spare:
        bundle_publisher.archive(bucket, candidate)
        done.append(f"{candidate} was archived untried, because {kept} is the candidate")
    for candidate in bundle_reader.partially_archived(bucket):
        bundle_publisher.archive(bucket, candidate)
        done.append(f"the rest of {candidate} was moved to the archive")
    return done


def claim_outcome(
    bucket: Bucket,
    candidate: str,
    outcome: Outcome,
    actor: str,
    reason: str = "",
    *,
    places: tuple[str, ...] = (),
    clock: control_record.Clock = versions.utc_now,
) -> None:
    """Decide the outcome of a candidate, and the places of a promotion (none: the whole city), once.

    `promote`, `roll_back` and `withdraw` call this first.

    Raises Conflict when another outcome was decided, NotFound when there is no such candidate, and BundleRefused for
    the promotion of a damaged bundle, because a promotion that cannot be copied could never complete.
    """
    if versions.kind_of(candidate) != BUNDLE_KIND["candidate"]:
        raise Conflict(f"{candidate} is no candidate")
    decided = outcome_of(bucket, candidate)
    names = (WAITING_FILE, MANIFEST_FILE) if outcome == "withdraw" else (MANIFEST_FILE,)
    if decided is None and not any(bucket.exists(versions.folder(candidate) + name) for name in names):
        decided = outcome_of(bucket, candidate)  # another caller may have ended the trial since the first read
        if decided is None:
            waits = bucket.exists(versions.folder(candidate) + WAITING_FILE)
            why = "it waits, and no visitor has met it" if waits else "models/ has no such complete bundle"
            raise NotFound(f"{candidate} is no candidate on trial: {why}")
    if decided is None:
        if outcome == "promote":
            bundle_reader.verify(bucket, candidate)
        where = {"places": list(places)} if places else {}
        claim = {"outcome": outcome, "actor": actor, "at": clock().isoformat(), "reason": reason, **where}
        body = json.dumps(claim)
        try:
            bucket.put(_outcome_key(candidate), body.encode(), if_absent=True)
        except PreconditionFailed:  # another caller, or the repetition of our own PUT
            decided = outcome_of(bucket, candidate)
    if decided not in (None, outcome):
        raise Conflict(f"{candidate}: the decision to {_VERB[decided]} it was made first")


def outcome_of(bucket: Bucket, candidate: str) -> Outcome | None:
    """Return the decided outcome of a candidate, or None."""
    claim = _outcome_claim(bucket, candidate)
    return None if claim is None else claim["outcome"]


def _claimed_places(bucket: Bucket, candidate: str) -> tuple[str, ...]:
    return tuple((_outcome_claim(bucket, candidate) or {}).get("places", ()))


def _outcome_claim(bucket: Bucket, candidate: str) -> dict[str, Any] | None:
    try:
        claim: dict[str, Any] = json.loads(bucket.get(_outcome_key(candidate)).body)
    except ObjectNotFound:
        return None
    return claim


def reason_of(bucket: Bucket, candidate: str) -> str:
    """Return why the outcome of a candidate was decided; empty without one, or in a record that has no reason."""
    return str((_outcome_claim(bucket, candidate) or {}).get("reason", ""))


def opponent_of(bucket: Bucket, candidate: str) -> str:
    """Return the production bundle that a candidate is, or was, compared with; `none` without one."""
    record = control_record.read(bucket)
    if record.candidate == candidate and record.production:
        return record.production
    others = (
        version
        for version in reversed(bundle_reader.published(bucket, BUNDLE_KIND["production"]))
        if bundle_reader.read_manifest(bucket, version).promoted_from != candidate
    )
    return next(others, "none")


def rejected_bundles(bucket: Bucket) -> list[str]:
    """Return reverted production bundles, regional ones that were taken back, and rolled-back candidates, newest first.

    Another trial of one of them would give the same model a second chance.
    """
    archived = bundle_reader.complete_bundles(bucket, "archive/price_check_CO")
    productions = bundle_reader.published(bucket, BUNDLE_KIND["production"])
    reverted = [
        before
        for before, after in itertools.pairwise(productions)
        if (bundle_reader.read_manifest(bucket, after).promoted_from or "").startswith(BUNDLE_KIND["production"])
    ]
    candidates = [version for version in archived if outcome_of(bucket, version) == "rollback"]
    regional = regional_record.taken_back(regional_record.read(bucket))
    return [*reverted[::-1], *regional, *sorted(candidates, key=versions.number_of, reverse=True)]


def _end_trial(bucket: Bucket, candidate: str, actor: str, reason: str, clock: control_record.Clock) -> None:
    production = bundle_reader.highest(bucket, BUNDLE_KIND["production"])
    control_record.end_experiment(bucket, candidate, actor, reason, production=production, clock=clock)
    bundle_publisher.archive(bucket, candidate)
    # Again, because a concurrent start of the same experiment may have come between the two.
    control_record.end_experiment(bucket, candidate, actor, reason, production=production, clock=clock)


def _outcome_key(candidate: str) -> str:
    return f"claims/{candidate}.outcome.json"
