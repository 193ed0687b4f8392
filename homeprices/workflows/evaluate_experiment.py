"""Steps of the evaluation DAG: analyze a new production, collect evidence, decide, promote or roll back.

Steps exchange JSON values. A final decision is recorded before anything acts on it. The next evaluation finishes a
decision that was interrupted, instead of deciding again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

from homeprices.adapters.database import transaction
from homeprices.adapters.notifications import Notification
from homeprices.errors import Conflict, InvalidInput
from homeprices.experiment import decision_log, decision_report, policies
from homeprices.experiment.collection import Rescorer, collect_evidence
from homeprices.experiment.evidence import Evidence
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND
from homeprices.predictions import drift_reports
from homeprices.predictions.identifiers import hashed_testers
from homeprices.registry import bundle_reader, mlflow_mirror, versions
from homeprices.release import candidate_queue, control_record, experiment_record, holds, phases, promotion, replicas
from homeprices.resources import Resources, open_resources
from homeprices.workflows import heartbeat, manual_actions
from homeprices.workflows.auto_revert import PostPromotionAnalysis
from homeprices.workflows.candidates import rollout, selection
from homeprices.workflows.notify_once import notify_once

ACTOR = "evaluation"
BREAKER = "router"
"""The actor under which the router's circuit breaker stops a share."""

FINAL = ("promote", "rollback", "inconclusive")
"""Outcomes that end a trial. `invalid` also ends one, but only after the policy's longest duration."""

HISTORY_LIMIT = 20  # maximum of holds and resumptions since the start of a decision

log = get_logger(__name__)


def open_evaluation(run_id: str) -> Evaluation:
    """Return the evaluation of this run, with the resources of this process."""
    return Evaluation(open_resources(), run_id)


class Evaluation:
    """One interim look at the running experiment, and its consequences."""

    def __init__(
        self,
        resources: Resources,
        run_id: str,
        policy: policies.AnyPolicy | None = None,
        clock: Callable[[], datetime] = versions.utc_now,
    ) -> None:
        self._resources, self._run_id, self._clock = resources, run_id, clock
        self._policy = policy or policies.load(resources.settings.policy)

    def run_manual_action(
        self, action: str, version: str | None, actor: str, reason: str, share: float | None = None
    ) -> list[str]:
        """Run the action of a person; return what it did, and which systems it could not inform.

        Raises InvalidInput for an unknown action, or for one without a reason, or without what it needs.
        """
        if not reason.strip():
            raise InvalidInput({"reason": "is required: it is recorded with the action"})
        person, chosen = f"person:{actor}", version or None
        match action:
            case "hold":
                report = manual_actions.hold(self._resources, chosen, person, reason)
            case "resume":
                report = manual_actions.resume(self._resources, person, reason)
            case "promote":
                report = manual_actions.promote(self._resources, chosen, person, reason)
            case "roll back":
                report = manual_actions.roll_back(self._resources, chosen, person, reason)
            case "revert" if chosen:
                report = manual_actions.revert(self._resources, chosen, person, reason)
            case "revert":
                raise InvalidInput({"version": "is required to revert, for example BO1"})
            case "skip":
                report = manual_actions.skip(self._resources, chosen, person, reason)
            case "repeat":
                report = manual_actions.repeat(self._resources, chosen, person, reason)
            case "share" if share is not None:
                report = manual_actions.share(self._resources, share, person, reason)
            case "share":
                raise InvalidInput({"share": "is required: percent of the visitors, from 0 to 50"})
            case _:
                raise InvalidInput({"action": f"{action!r} is not one of {', '.join(manual_actions.ACTIONS)}"})
        if action in ("promote", "roll back"):
            selection.try_fill_slot(self._resources, ACTOR, self._clock)
        return [*report.done, *report.not_propagated]

    def analyze_new_production(self) -> str:
        """Revert a newly promoted production if it does harm; return the result as a sentence."""
        return PostPromotionAnalysis(self._resources, self._policy, self._clock).run()

    def collect_evidence(self) -> dict[str, Any]:
        """Return the evidence of both variants, or an unfinished decision, or the reason why there is neither."""
        bucket = self._resources.bucket
        bundle_reader.warn_of_ignored_folders(bucket)
        for sentence in promotion.resume_interrupted(bucket, ACTOR, clock=self._clock):
            log.info("interrupted_release_finished", result=sentence)
        candidate = selection.fill_slot(self._resources, ACTOR, self._clock)
        if candidate is None:
            waits = [f"{version} waits: {why}." for version, why in candidate_queue.why_waiting(bucket).items()]
            return {"nothing": " ".join(waits) or "There is no candidate."}
        if (held := holds.hold_on(bucket, candidate)) is not None:
            return {"nothing": str(held)}
        if pending := self._pending(candidate):
            return {"pending": pending}
        running = self._running_experiment(candidate)
        if running is None:
            return {"nothing": f"{candidate} waits until every candidate replica serves it."}
        stopped = running.reason if running.state == "stopped" and running.updated_by == BREAKER else None
        with transaction(self._resources.engine) as connection:
            evidence = collect_evidence(
                connection,
                running,
                self._clock(),
                self._policy,
                score=Rescorer(bucket),
                testers=hashed_testers(self._resources.settings),
                stopped=stopped,
                drift=drift_reports.drift_notes(connection, (str(running.production), candidate), self._clock()),
            )
        return {"evidence": evidence.model_dump(mode="json"), "policy": policies.document_of(self._policy)}

    def decide(self, collected: dict[str, Any]) -> dict[str, Any]:
        """Record and return the policy's decision; publish its report, notify people of a first `invalid`."""
        if "nothing" in collected:
            return {"outcome": "continue", "reason": collected["nothing"]}
        if "pending" in collected:
            return dict(collected["pending"])
        evidence = Evidence.model_validate(collected["evidence"])
        # The policy that the evidence was collected for: a repeated step uses it even if the setting has changed.
        policy = policies.from_document(collected["policy"])
        with transaction(self._resources.engine) as connection:
            before = decision_log.latest(connection, evidence.candidate.bundle)
            decided = decision_log.record_decision(
                connection,
                self._run_id,
                evidence,
                policy.decide(evidence),
                ACTOR,
                policy_document=policies.document_of(policy),
                software={"git_revision": self._resources.settings.git_revision},
            )
        page = decision_report.publish(self._resources, decided.key)
        if decided.outcome == "invalid" and not any(row.outcome == "invalid" for row in before if row != decided):
            title = f"{decided.experiment} is invalid: nothing is promoted"
            notify_once(self._resources, f"invalid:{decided.key}", Notification(title, decided.reason, page))
        return {**_as_json(decided), "ends": _ends(decided, evidence, policy)}

    def promote(self, decision: dict[str, Any]) -> dict[str, Any]:
        """Publish the candidate as the next production, wait until every replica serves it, and record the version."""
        candidate = decision["candidate"]
        self._check_hold(candidate)
        wait = partial(replicas.wait_for_version, self._resources.settings, "production")
        places = tuple(decision["evidence"].get("places", ()))
        version = promotion.promote(
            self._resources.bucket, candidate, wait, ACTOR, decision["reason"], places=places, clock=self._clock
        )
        with transaction(self._resources.engine) as connection:
            decision_log.record_result(connection, decision["key"], version)
            since = decision_log.get(connection, decision["id"]).ts
        if places or bundle_reader.highest(self._resources.bucket, BUNDLE_KIND["production"]) == version:
            phases.record_bake(self._resources.bucket, version, since + self._policy.bake.longest)
        decision = {**decision, "result_version": version}
        where = f" {experiment_record.in_places(places)}" if places else ""
        self._notify(f"{candidate} is promoted: production is {version} now{where}", decision)
        self._record_heartbeat(decision)
        selection.try_fill_slot(self._resources, ACTOR, self._clock)
        return decision

    def roll_back(self, decision: dict[str, Any]) -> dict[str, Any]:
        """Archive the candidate and return its visitors to production."""
        self._check_hold(decision["candidate"])
        promotion.roll_back(self._resources.bucket, decision["candidate"], ACTOR, decision["reason"], clock=self._clock)
        self._notify(f"{decision['candidate']} is rolled back", decision)
        self._record_heartbeat(decision)
        selection.try_fill_slot(self._resources, ACTOR, self._clock)
        return decision

    def continue_experiment(self, decision: dict[str, Any]) -> str:
        """Take the next step of the ramp, if the decision does; return the reason of the decision."""
        rollout.take_step(self._resources, decision, ACTOR, self._clock)
        self._record_heartbeat(decision)
        return str(decision["reason"])

    def _record_heartbeat(self, decision: dict[str, Any]) -> None:
        heartbeat.record_heartbeat(self._resources.bucket, "evaluation", decision["outcome"], self._run_id, self._clock)

    def _pending(self, candidate: str) -> dict[str, Any] | None:
        """Return an unfinished decision, or None.

        A hold, or a trial that begins again, voids a decision that has not started to take effect; a skipped step does
        not.
        """
        with transaction(self._resources.engine) as connection:
            rows = decision_log.latest(connection, candidate, limit=HISTORY_LIMIT)
        begun = promotion.outcome_of(self._resources.bucket, candidate) is not None
        passed = ("hold", "resume", "skip", "repeat") if begun else ("skip",)
        rows = [row for row in rows if row.outcome not in passed]
        return {**_as_json(rows[0]), "ends": True} if rows and rows[0].outcome in FINAL else None

    def _check_hold(self, candidate: str) -> None:
        """Raise Conflict if a person holds the candidate, unless the release has already started."""
        held = holds.hold_on(self._resources.bucket, candidate)
        if held is not None and promotion.outcome_of(self._resources.bucket, candidate) is None:
            raise Conflict(str(held))

    def _running_experiment(self, candidate: str) -> experiment_record.ControlRecord | None:
        """Return the control record of the candidate's experiment; start it if the training run could not."""
        current = control_record.read(self._resources.bucket)
        if current.candidate == candidate:
            return current
        settings = self._resources.settings
        production = bundle_reader.highest(self._resources.bucket, BUNDLE_KIND["production"])
        served = replicas.probe(settings.replica_urls("candidate"))
        if production is None or any(replica.version != candidate for replica in served):
            return None
        return rollout.begin(self._resources, self._policy, production, candidate, ACTOR, clock=self._clock)

    def _notify(self, title: str, decision: dict[str, Any]) -> None:
        """Synchronise MLflow and notify people; a failure of either changes no outcome."""
        mlflow_mirror.try_sync_registered_model(self._resources, new=decision.get("result_version"))
        page = decision_report.publish(self._resources, decision["key"])
        notify_once(self._resources, decision["key"], Notification(title, decision["reason"], page))


def _ends(decided: decision_log.RecordedDecision, evidence: Evidence, policy: policies.AnyPolicy) -> bool:
    """Return whether the decision ends the trial; an experiment that is invalid for its whole duration ends too."""
    return decided.outcome in FINAL or (decided.outcome == "invalid" and evidence.age >= policy.longest)


def _as_json(row: decision_log.RecordedDecision) -> dict[str, Any]:
    return {**asdict(row), "ts": row.ts.isoformat()}
