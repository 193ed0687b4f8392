"""A decision computed again from its record: the same evidence under the same policy, compared to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from homeprices.adapters.database import transaction
from homeprices.errors import Conflict
from homeprices.experiment import record
from homeprices.experiment.bake import BakeEvidence
from homeprices.experiment.decision import Evidence
from homeprices.experiment.policies import AnyPolicy, from_document

if TYPE_CHECKING:
    from homeprices.resources import Parts


def replay(parts: Parts, number: int) -> str:
    """A sentence that says that the decision came out the same. Raises NotFound, and Conflict when it did not.

    Raises Conflict too for an order of a person, and for a record that an older version has left: they have nothing to
    be computed of.
    """
    with transaction(parts.engine) as connection:
        decided = record.get(connection, number)
    if decided.policy_document is None or decided.statistics is None:
        raise Conflict(f"decision {number} ({decided.outcome} by {decided.actor}) holds no policy to compute it with")
    found = compute(decided)
    held = {"outcome": decided.outcome, "reason": decided.reason, "statistics": decided.statistics}
    if found != held:
        differing = ", ".join(name for name in held if held[name] != found[name])
        raise Conflict(f"decision {number} comes out otherwise in its {differing}: {found} instead of {held}")
    values = sum(value is not None for value in decided.statistics.values())
    return f"Decision {number} comes out the same: {decided.outcome}, with {values} statistics equal to the bit."


def compute(decided: record.RecordedDecision) -> dict[str, Any]:
    """Outcome, reason and statistics of the record's evidence under its policy, as they are recorded."""
    policy = from_document(decided.policy_document or {})
    try:
        if "promoted_at" in decided.evidence:
            watched = policy.bake.judge(BakeEvidence.model_validate(decided.evidence))
            return watched.model_dump(mode="json")
        return _decided(policy, Evidence.model_validate(decided.evidence))
    except ValidationError as error:
        raise Conflict(f"the evidence of decision {decided.id} cannot be read: {error.errors()[0]['msg']}") from error


def _decided(policy: AnyPolicy, evidence: Evidence) -> dict[str, Any]:
    found = policy.decide(evidence)
    statistics = {**found.statistics, "scores": found.scores}
    return {"outcome": found.outcome, "reason": found.reason, "statistics": statistics}
