"""The decision log, `ab_decisions`: one row per key, append-only.

The key names the interim look (a run of the evaluation) or the command of a person. Recording a second decision under a
key returns the first one, whatever the evidence is by then. So a repeated step acts on one decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from sqlalchemy import Row, desc, select, text, update
from sqlalchemy.dialects.postgresql import insert

from homeprices.adapters.database import transaction
from homeprices.errors import Conflict, NotFound
from homeprices.experiment.evidence import Evidence
from homeprices.experiment.policies import AnyPolicy, from_document, load
from homeprices.experiment.policies.post_promotion import PostPromotionEvidence
from homeprices.predictions.tables import ab_decisions
from homeprices.release.trial_levels import YEAR, LevelRule, TrialLevel, spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from homeprices.experiment.policies.base import Decision
    from homeprices.experiment.policies.post_promotion import PostPromotionVerdict
    from homeprices.resources import Resources

_LEVELS = text(
    """
    SELECT DISTINCT experiment, evidence ->> 'started_at' AS since, (evidence ->> 'level')::float AS level
    FROM ab_decisions WHERE ts > :since AND evidence ->> 'level' IS NOT NULL
    """
)


@dataclass(frozen=True)
class RecordedDecision:
    """A decision on record: its `evidence`, the `policy_document`, the computed `statistics` (with `scores`), and the
    revisions of the `software`. `result_version` is the bundle that a promotion or revert published.
    """

    id: int
    ts: datetime
    key: str
    experiment: str
    production: str
    candidate: str
    policy: str
    evidence: dict[str, Any]
    outcome: str
    reason: str
    result_version: str | None
    actor: str
    policy_document: dict[str, Any] | None = None
    statistics: dict[str, Any] | None = None
    software: dict[str, Any] | None = None


def record_decision(
    connection: Connection,
    key: str,
    evidence: Evidence,
    decision: Decision,
    actor: str,
    *,
    policy_document: dict[str, Any] | None = None,
    software: dict[str, Any] | None = None,
) -> RecordedDecision:
    """Record a policy's decision with its evidence, and return the decision that is on record under the key."""
    return _insert(
        connection,
        key=key,
        experiment=evidence.experiment,
        production=evidence.production.bundle,
        candidate=evidence.candidate.bundle,
        policy=decision.policy,
        evidence=evidence.model_dump(mode="json"),
        outcome=decision.outcome,
        reason=decision.reason,
        actor=actor,
        policy_document=policy_document,
        statistics={**decision.statistics, "scores": decision.scores},
        software=software,
    )


def record_revert(
    connection: Connection,
    key: str,
    evidence: PostPromotionEvidence,
    found: PostPromotionVerdict,
    actor: str,
    *,
    policy_document: dict[str, Any],
    policy: str,
    software: dict[str, Any],
) -> RecordedDecision:
    """Record the revert of a new production; its `candidate` is the bundle that is restored."""
    return _insert(
        connection,
        key=key,
        experiment=f"{evidence.production}-{evidence.previous}",
        production=evidence.production,
        candidate=evidence.previous,
        policy=policy,
        evidence=evidence.model_dump(mode="json"),
        outcome=found.outcome,
        reason=found.reason,
        actor=actor,
        policy_document=policy_document,
        statistics=found.statistics,
        software=software,
    )


def record_manual_action(
    connection: Connection, key: str, *, outcome: str, production: str, candidate: str, reason: str, actor: str
) -> RecordedDecision:
    """Record a manual action (`promote`, `rollback`, `revert`, `hold`, `resume`, `skip`, `repeat`).

    For a revert, `candidate` is the bundle that is restored.
    """
    return _insert(
        connection,
        key=key,
        experiment=f"{production}-{candidate}",
        production=production,
        candidate=candidate,
        policy="person",
        evidence={},
        outcome=outcome,
        reason=reason,
        actor=actor,
    )


def record_result(connection: Connection, key: str, version: str) -> None:
    """Record the version that a decision led to, once. Raise NotFound if the key is unknown."""
    unset = (ab_decisions.c.key == key) & ab_decisions.c.result_version.is_(None)
    connection.execute(update(ab_decisions).where(unset).values(result_version=version))
    if find(connection, key) is None:
        raise NotFound(f"no decision is on record under {key!r}")


def find(connection: Connection, key: str) -> RecordedDecision | None:
    """Return the decision with this key, if any."""
    row = connection.execute(select(ab_decisions).where(ab_decisions.c.key == key)).one_or_none()
    return None if row is None else _recorded(row)


def get(connection: Connection, number: int) -> RecordedDecision:
    """Return the decision with this id. Raise NotFound."""
    row = connection.execute(select(ab_decisions).where(ab_decisions.c.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"no decision {number} is on record")
    return _recorded(row)


def promotion_to(connection: Connection, version: str) -> RecordedDecision | None:
    """Return the decision that promoted this production bundle; None if there is none."""
    led_here = (ab_decisions.c.result_version == version) & (ab_decisions.c.outcome == "promote")
    row = connection.execute(select(ab_decisions).where(led_here).order_by(ab_decisions.c.id).limit(1)).one_or_none()
    return None if row is None else _recorded(row)


def bake_start(connection: Connection, origin: RecordedDecision) -> RecordedDecision | datetime:
    """Return when the bake window of a promotion begins: when a person repeated it last, else at the promotion.

    Return the action of the person who skipped it, if that is newer.
    """
    actions = (ab_decisions.c.candidate == origin.result_version) & ab_decisions.c.outcome.in_(("skip", "repeat"))
    row = connection.execute(select(ab_decisions).where(actions).order_by(desc(ab_decisions.c.id)).limit(1)).first()
    if row is None:
        return origin.ts
    newest = _recorded(row)
    return newest if newest.outcome == "skip" else newest.ts


def history(connection: Connection, experiment: str, until: int, limit: int) -> list[RecordedDecision]:
    """Return the newest decisions of an experiment up to the one with the id `until`, oldest first."""
    theirs = (ab_decisions.c.experiment == experiment) & (ab_decisions.c.id <= until)
    rows = connection.execute(select(ab_decisions).where(theirs).order_by(desc(ab_decisions.c.id)).limit(limit))
    return [_recorded(row) for row in rows][::-1]


def latest(connection: Connection, candidate: str, limit: int = 1) -> list[RecordedDecision]:
    """Return the newest decisions about a candidate, newest first."""
    of_candidate = select(ab_decisions).where(ab_decisions.c.candidate == candidate)
    rows = connection.execute(of_candidate.order_by(desc(ab_decisions.c.id)).limit(limit))
    return [_recorded(row) for row in rows]


def recorded_levels(connection: Connection, since: datetime) -> list[TrialLevel]:
    """Return the levels of the trials that had a look after `since`."""
    rows = connection.execute(_LEVELS, {"since": since}).mappings()
    return [TrialLevel.model_validate(dict(row)) for row in rows]


def level_rule(resources: Resources, policy: AnyPolicy | None = None) -> LevelRule:
    """Return the rule by which a policy (default: the configured one) gives a trial its level.

    Calling it raises DatabaseUnavailable, after which the next evaluation starts the trial.

    Trials count that the control record or the decision log has, because either may be restored from a backup. A trial
    that neither has was never looked at, and so could not promote.
    """
    policy = policy or load(resources.settings.policy)

    def level(trials: Sequence[TrialLevel], at: datetime) -> float | None:
        if policy.trial_level(()) is None:
            return None
        with transaction(resources.engine) as connection:
            recorded = recorded_levels(connection, at - YEAR)
        return policy.trial_level(spent([*trials, *recorded], at))

    return level


def _insert(connection: Connection, **values: Any) -> RecordedDecision:
    connection.execute(insert(ab_decisions).values(**values).on_conflict_do_nothing(index_elements=["key"]))
    # The row may be another process's that was committed after this transaction began: read committed sees it.
    return _recorded(connection.execute(select(ab_decisions).where(ab_decisions.c.key == values["key"])).one())


def _recorded(row: Row[Any]) -> RecordedDecision:
    return RecordedDecision(**row._mapping)


def replay(resources: Resources, number: int) -> str:
    """Compute a decision again and return a sentence that it is equal to the bit. Raise NotFound, or Conflict if not.

    Also raise Conflict for a manual action and for a record of an older version, because they hold no evidence or
    policy.
    """
    with transaction(resources.engine) as connection:
        decided = get(connection, number)
    if decided.policy_document is None or decided.statistics is None:
        raise Conflict(f"decision {number} ({decided.outcome} by {decided.actor}) holds no policy to compute it with")
    found = compute(decided)
    held = {"outcome": decided.outcome, "reason": decided.reason, "statistics": decided.statistics}
    if found != held:
        differing = ", ".join(name for name in held if held[name] != found[name])
        raise Conflict(f"decision {number} comes out otherwise in its {differing}: {found} instead of {held}")
    values = sum(value is not None for value in decided.statistics.values())
    return f"Decision {number} comes out the same: {decided.outcome}, with {values} statistics equal to the bit."


def compute(decided: RecordedDecision) -> dict[str, Any]:
    """Return outcome, reason and statistics of the recorded evidence under the recorded policy."""
    policy = from_document(decided.policy_document or {})
    try:
        if "promoted_at" in decided.evidence:
            watched = policy.bake.evaluate(PostPromotionEvidence.model_validate(decided.evidence))
            return watched.model_dump(mode="json")
        return _decided(policy, Evidence.model_validate(decided.evidence))
    except ValidationError as error:
        raise Conflict(f"the evidence of decision {decided.id} cannot be read: {error.errors()[0]['msg']}") from error


def _decided(policy: AnyPolicy, evidence: Evidence) -> dict[str, Any]:
    found = policy.decide(evidence)
    statistics = {**found.statistics, "scores": found.scores}
    return {"outcome": found.outcome, "reason": found.reason, "statistics": statistics}
