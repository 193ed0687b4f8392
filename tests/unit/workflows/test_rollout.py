"""How an experiment begins and takes the steps of its ramp, killed after every operation, and a person's actions."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from homeprices.adapters.notifications import Notification
from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import Conflict, DatabaseUnavailable
from homeprices.experiment import exposures, policies
from homeprices.experiment.evidence import RampProgress
from homeprices.names import Phase
from homeprices.release import control_record, holds
from homeprices.resources import Resources
from homeprices.settings import load_settings
from homeprices.workflows import manual_actions
from homeprices.workflows.candidates import rollout
from tests.support.faulty_bucket import DyingBucket, Killed
from tests.unit.experiment.looks import BEGIN, look

POLICY = policies.from_document({"rule": "sequential", "ramp": [1, 5, 20]})


@dataclass
class Told:
    """Keeps what is sent."""

    titles: list[str] = field(default_factory=list)

    def send(self, notification: Notification) -> dict[str, bool]:
        self.titles.append(notification.title)
        return {}


def site(bucket: Any, told: Told | None = None, **variables: str) -> Resources:
    """Return resources whose database does not answer."""
    resources = Resources(load_settings({"HOMEPRICES_POLICY": "sequential", "POSTGRES_PORT": "1", **variables}, ()))
    resources.__dict__.update(bucket=bucket, notifier=told or Told())
    return resources


def in_ramp(bucket: MemoryBucket, share: float = 5, phase: Phase = "ramp") -> None:
    bucket.put("models/price_check_CO1/manifest.json", b"{}")
    control_record.start_experiment(bucket, "BO1", "CO1", share, "test", clock=lambda: BEGIN, phase=phase)


def decision(**more: Any) -> dict[str, Any]:
    """Return the recorded decision of a look in the ramp, as it travels between tasks."""
    progress = RampProgress(epoch=1, share=5, since=BEGIN, exposures=60, a_day=1200, **more)
    evidence = look(ramp=progress)
    found = POLICY.decide(evidence)
    return {
        "experiment": "BO1-CO1",
        "candidate": "CO1",
        "outcome": found.outcome,
        "reason": found.reason,
        "statistics": found.statistics,
        "evidence": evidence.model_dump(mode="json"),
        "policy_document": policies.document_of(POLICY),
    }


@pytest.mark.parametrize(
    ("a_day", "share", "phase", "says"),
    [
        (100_000, 1, "ramp", "it is better"),
        (200, 5, "ramp", "it is better. The step of 1 % is skipped: at 200 requests a day it takes 25.0 days."),
        (0, 20, "trial", "it is better. The step of 1 % is skipped: no visitor came in the last days. The step of 5 %"),
    ],
)
def test_an_experiment_begins_with_the_first_step_for_which_there_are_visitors(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch, a_day: float, share: float, phase: str, says: str
) -> None:
    monkeypatch.setattr(rollout, "transaction", lambda engine: nullcontext())
    monkeypatch.setattr(exposures, "requests_a_day", lambda connection, now: a_day)
    record = rollout.begin(site(bucket), POLICY, "BO1", "CO1", "pipeline", "it is better")
    assert (record.share, record.phase) == (share, phase)
    assert record.reason.startswith(says)


def test_without_the_log_an_experiment_with_a_ramp_does_not_begin_and_one_without_does(bucket: MemoryBucket) -> None:
    with pytest.raises(DatabaseUnavailable):
        rollout.begin(site(bucket), POLICY, "BO1", "CO1", "pipeline")
    assert control_record.read(bucket).state == "idle"
    settings = site(bucket, HOMEPRICES_CANDIDATE_SHARE="30")
    record = rollout.begin(settings, policies.load("composite"), "BO1", "CO1", "pipeline")
    assert (record.share, record.phase, record.reason) == (30, "trial", "CO1 is tried on 30 % of the visitors")


def test_a_recorded_step_is_taken_and_told_once(bucket: MemoryBucket) -> None:
    in_ramp(bucket)
    told = Told()
    for _ in range(2):
        rollout.take_step(site(bucket, told), decision(), "evaluation")
    record = control_record.read(bucket)
    assert (record.share, record.phase, record.epoch, record.updated_by) == (20, "trial", 2, "evaluation")
    assert record.reason.endswith("The ramp goes from 5 to 20 %.")
    assert told.titles == ["CO1 goes from 5 to 20 % of the visitors (trial)"]


def test_a_decision_that_takes_no_step_changes_nothing(bucket: MemoryBucket) -> None:
    in_ramp(bucket)
    before = control_record.read(bucket)
    for stays in ({"outcome": "continue", "reason": "There is no candidate."}, {**decision(), "statistics": {}}):
        rollout.take_step(site(bucket), stays, "evaluation")
    assert control_record.read(bucket) == before


def test_a_step_that_a_person_overtook_is_neither_taken_nor_told(bucket: MemoryBucket) -> None:
    in_ramp(bucket)
    before, told = control_record.set_share(bucket, 30, "person:ann", "it is good"), Told()
    rollout.take_step(site(bucket, told), decision(), "evaluation")
    assert control_record.read(bucket) == before and told.titles == []


def test_a_hold_since_the_decision_keeps_the_step(bucket: MemoryBucket) -> None:
    in_ramp(bucket)
    holds.set_hold(bucket, "CO1", "person:ann", "a holiday")
    rollout.take_step(site(bucket), decision(), "evaluation")
    assert control_record.read(bucket).share == 5


def test_a_step_that_is_killed_anywhere_and_taken_again_has_one_outcome() -> None:
    steps = 0
    for operations in range(50):
        bucket, told = MemoryBucket(), Told()
        in_ramp(bucket)
        try:
            rollout.take_step(site(DyingBucket(bucket, operations), told), decision(), "evaluation")
        except Killed:
            rollout.take_step(site(bucket, told), decision(), "evaluation")
            record = control_record.read(bucket)
            assert (record.share, record.phase, record.epoch, len(record.epochs)) == (20, "trial", 2, 2)
            assert len(told.titles) <= 1
            steps += 1
            continue
        break
    assert steps >= 4


def test_a_person_skips_the_steps_of_the_ramp_one_by_one_also_without_the_database(bucket: MemoryBucket) -> None:
    in_ramp(bucket)
    told = Told()
    report = manual_actions.skip(site(bucket, told), None, "person:ann", "no visitors")
    record = control_record.read(bucket)
    assert (record.share, record.phase, record.reason) == (20, "trial", "no visitors")
    assert report.done == ["CO1 gets 20 % of the visitors (trial)."] == told.titles
    assert report.not_propagated[0].startswith("not on record")
    manual_actions.skip(site(bucket, told), "CO1", "person:ann", "no visitors")
    assert control_record.read(bucket) == record and len(told.titles) == 1, "repeated, it has no other effect"
    with pytest.raises(Conflict, match="CO1 is not in a ramp; `promote` and `roll back` end a trial"):
        manual_actions.skip(site(bucket), None, "person:ann", "once more")


def test_a_person_repeats_a_phase_and_is_told_what_cannot_be_repeated(bucket: MemoryBucket) -> None:
    in_ramp(bucket)
    report = manual_actions.repeat(site(bucket), None, "person:ann", "the log was lost")
    assert report.done == ["CO1 begins its ramp with 5 % of the visitors again."]
    assert control_record.read(bucket).epoch == 2
    with pytest.raises(Conflict, match="CO7 is neither on trial nor in production"):
        manual_actions.repeat(site(bucket), "CO7", "person:ann", "the log was lost")
    with pytest.raises(DatabaseUnavailable):  # a bake window is on record there alone
        manual_actions.skip(site(bucket), "BO1", "person:ann", "it is good")


def test_an_action_on_nothing_is_refused(bucket: MemoryBucket) -> None:
    with pytest.raises(Conflict, match="nothing is neither on trial nor in production"):
        manual_actions.skip(site(bucket), None, "person:ann", "why")
