"""How trials end. Kills after every operation, for promotions, are in tests/contract/release.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import BundleRefused, Conflict, NotFound, NotReady
from homeprices.registry import bundle_publisher, bundle_reader
from homeprices.release import control_record, promotion
from tests.contract.release import assert_consistent, in_production, publish, start_trial, survive_every_kill
from tests.support.factories import Clock
from tests.support.faulty_bucket import DyingBucket, Killed, LostAnswers


@pytest.fixture
def trial(bucket: MemoryBucket, drafts: list[Path]) -> MemoryBucket:
    """BO1 in production, CO1 on trial."""
    start_trial(bucket, drafts)
    return bucket


def test_a_promotion_makes_the_candidate_the_next_production(trial: MemoryBucket, clock: Clock) -> None:
    waited: list[str] = []
    version = promotion.promote(trial, "CO1", waited.append, "evaluation", "it scores more", clock=clock)
    assert (version, waited) == ("BO2", ["BO2"])
    manifest, candidate = bundle_reader.read_manifest(trial, "BO2"), bundle_reader.read_manifest(trial, "CO1")
    assert (manifest.promoted_from, manifest.kind, manifest.published_by) == ("CO1", "BO", "evaluation")
    assert (manifest.files, manifest.golden, manifest.metrics) == (candidate.files, candidate.golden, candidate.metrics)
    record = control_record.read(trial)
    assert (record.state, record.production, record.reason) == ("idle", "BO2", "it scores more")
    assert bundle_reader.highest(trial, "CO") is None
    assert_consistent(trial)


def test_the_candidate_is_tried_until_production_serves_its_model(trial: MemoryBucket) -> None:
    def wait(version: str) -> None:
        assert bundle_reader.highest(trial, "BO") == version == "BO2"
        assert bundle_reader.highest(trial, "CO") == "CO1"
        assert control_record.read(trial).state == "running"

    promotion.promote(trial, "CO1", wait, "evaluation", "better")


def test_a_replica_that_does_not_come_leaves_the_trial_running_and_the_next_call_finishes(trial: MemoryBucket) -> None:
    def never(version: str) -> None:
        raise NotReady(f"no replica serves {version}")

    with pytest.raises(NotReady):
        promotion.promote(trial, "CO1", never, "evaluation", "better")
    assert control_record.read(trial).state == "running"
    assert promotion.promote(trial, "CO1", in_production, "evaluation", "better") == "BO2"
    assert bundle_reader.published(trial, "BO") == ["BO1", "BO2"]


def test_a_promotion_that_is_repeated_changes_nothing(trial: MemoryBucket) -> None:
    promotion.promote(trial, "CO1", in_production, "evaluation", "better")
    before = {entry.key: entry.etag for entry in trial.list("")}
    assert promotion.promote(trial, "CO1", in_production, "evaluation", "better") == "BO2"
    assert {entry.key: entry.etag for entry in trial.list("")} == before


def test_a_promotion_that_was_reverted_meanwhile_is_finished_without_waiting(trial: MemoryBucket) -> None:
    def reverted(_: str) -> None:
        promotion.revert(trial, "BO1", in_production, "person", "BO2 is bad")
        raise NotReady("no replica serves BO2")

    with pytest.raises(NotReady):
        promotion.promote(trial, "CO1", reverted, "evaluation", "better")
    assert promotion.promote(trial, "CO1", reverted, "evaluation", "better") == "BO2"
    assert bundle_reader.highest(trial, "BO") == "BO3"
    assert (control_record.read(trial).state, control_record.read(trial).production) == ("idle", "BO3")


def test_a_candidate_that_cannot_be_copied_is_not_decided_for_promotion(trial: MemoryBucket) -> None:
    trial.put("models/price_check_CO1/columns.json", b"{}")
    with pytest.raises(BundleRefused, match=r"columns.json of CO1"):
        promotion.promote(trial, "CO1", in_production, "evaluation", "better")
    assert promotion.outcome_of(trial, "CO1") is None
    promotion.roll_back(trial, "CO1", "person", "damaged")
    assert bundle_reader.published(trial, "BO") == ["BO1"]


def test_a_rollback_sends_everybody_to_production(trial: MemoryBucket, clock: Clock) -> None:
    promotion.roll_back(trial, "CO1", "evaluation", "it scores less", clock=clock)
    record = control_record.read(trial)
    assert (record.state, record.production, record.candidate, record.reason) == ("idle", "BO1", None, "it scores less")
    assert bundle_reader.published(trial, "BO") == ["BO1"]
    assert bundle_reader.highest(trial, "CO") is None
    bundle_reader.verify(trial, "CO1")
    promotion.roll_back(trial, "CO1", "evaluation", "again")
    assert control_record.read(trial) == record


def test_what_was_decided_stays_decided(trial: MemoryBucket) -> None:
    promotion.roll_back(trial, "CO1", "person", "worse")
    with pytest.raises(Conflict, match="CO1: the decision to roll back it was made first"):
        promotion.promote(trial, "CO1", in_production, "evaluation", "better")
    assert bundle_reader.published(trial, "BO") == ["BO1"]


def test_a_decision_whose_answer_was_lost_is_ours(trial: MemoryBucket) -> None:
    promotion.roll_back(LostAnswers(trial), "CO1", "person", "worse")
    assert promotion.outcome_of(trial, "CO1") == "rollback"


@pytest.mark.parametrize("unknown", ["CO2", "BO1"])
def test_what_is_no_candidate_is_neither_promoted_nor_rolled_back(trial: MemoryBucket, unknown: str) -> None:
    with pytest.raises((NotFound, Conflict), match=f"{unknown} is no candidate"):
        promotion.promote(trial, unknown, in_production, "person", "why not")
    with pytest.raises((NotFound, Conflict), match=f"{unknown} is no candidate"):
        promotion.roll_back(trial, unknown, "person", "why not")


def test_a_start_that_was_under_way_does_not_outlive_the_end(trial: MemoryBucket) -> None:
    class StartsAgain(MemoryBucket):
        def __init__(self) -> None:
            super().__init__()
            self._objects, self._lock = trial._objects, trial._lock

        def copy(self, source: str, target: str) -> None:
            if target.endswith("CO1/manifest.json"):  # after the experiment's end, before the candidate's
                control_record.start_experiment(trial, "BO1", "CO1", 20, "late")
            super().copy(source, target)

    promotion.roll_back(StartsAgain(), "CO1", "evaluation", "worse")
    assert control_record.read(trial).state == "idle"


def test_a_revert_publishes_the_earlier_bundle_as_the_next(trial: MemoryBucket, clock: Clock) -> None:
    promotion.promote(trial, "CO1", in_production, "evaluation", "better")
    waited: list[str] = []
    assert promotion.revert(trial, "BO1", waited.append, "person", "BO2 overprices", clock=clock) == "BO3"
    assert waited == ["BO3"]
    assert bundle_reader.read_manifest(trial, "BO3").promoted_from == "BO1"
    assert bundle_reader.read_manifest(trial, "BO3").files == bundle_reader.read_manifest(trial, "BO1").files
    assert (control_record.read(trial).production, control_record.read(trial).reason) == ("BO3", "BO2 overprices")
    assert promotion.revert(trial, "BO1", waited.append, "person", "again") == "BO3"
    assert_consistent(trial)


def test_a_revert_restarts_a_running_experiment(bucket: MemoryBucket, drafts: list[Path]) -> None:
    for number, draft in enumerate(drafts[:2]):
        publish(bucket, draft, f"run {number}", "BO")
    publish(bucket, drafts[2], "candidate", "CO")
    control_record.start_experiment(bucket, "BO2", "CO1", 20, "test")
    assert promotion.revert(bucket, "BO1", in_production, "person", "BO2 is bad") == "BO3"
    assert control_record.read(bucket).experiment == "BO3-CO1"


def test_the_same_bundle_can_be_brought_back_a_second_time(bucket: MemoryBucket, drafts: list[Path]) -> None:
    publish(bucket, drafts[0], "one", "BO")
    publish(bucket, drafts[1], "two", "BO")
    assert promotion.revert(bucket, "BO1", in_production, "person", "BO2 is bad") == "BO3"
    publish(bucket, drafts[2], "four", "BO")
    assert promotion.revert(bucket, "BO1", in_production, "person", "BO4 is bad") == "BO5"


@pytest.mark.parametrize(
    ("to", "problem"),
    [
        ("BO1", "BO1 is in production already"),
        ("CO1", "CO1 is no production bundle"),
        ("BO7", "no manifest.json of a bundle BO7"),
    ],
)
def test_what_cannot_be_reverted_to_is_said(trial: MemoryBucket, to: str, problem: str) -> None:
    with pytest.raises((Conflict, NotFound), match=problem):
        promotion.revert(trial, to, in_production, "person", "try")
    assert bundle_reader.published(trial, "BO") == ["BO1"]


def test_without_production_there_is_nothing_to_revert(bucket: MemoryBucket) -> None:
    with pytest.raises(Conflict, match="no production bundle yet"):
        promotion.revert(bucket, "BO1", in_production, "person", "try")


def test_a_rollback_survives_a_kill_after_every_operation(bucket: MemoryBucket, drafts: list[Path]) -> None:
    def check(bucket: MemoryBucket) -> None:
        assert bundle_reader.published(bucket, "BO") == ["BO1"]
        assert list(bucket.list("models/price_check_CO")) == []
        assert (control_record.read(bucket).state, control_record.read(bucket).epoch) == ("idle", 2)

    survive_every_kill(
        bucket, lambda b: start_trial(b, drafts), lambda b: promotion.roll_back(b, "CO1", "t", "worse"), check
    )


def test_a_revert_survives_a_kill_after_every_operation(bucket: MemoryBucket, drafts: list[Path]) -> None:
    def two_productions(bucket: MemoryBucket) -> None:
        start_trial(bucket, drafts)
        promotion.promote(bucket, "CO1", in_production, "test", "better")

    def check(bucket: MemoryBucket) -> None:
        assert bundle_reader.published(bucket, "BO") == ["BO1", "BO2", "BO3"]
        assert len(list(bucket.list("claims/BO"))) == 3
        assert control_record.read(bucket).production == "BO3"

    survive_every_kill(bucket, two_productions, lambda b: promotion.revert(b, "BO1", in_production, "t", "bad"), check)


def test_a_start_survives_a_kill_after_every_operation(bucket: MemoryBucket, drafts: list[Path]) -> None:
    def published(bucket: MemoryBucket) -> None:
        publish(bucket, drafts[0], "first", "BO")
        publish(bucket, drafts[1], "second", "CO")

    def check(bucket: MemoryBucket) -> None:
        assert (control_record.read(bucket).experiment, control_record.read(bucket).epoch) == ("BO1-CO1", 1)

    survive_every_kill(bucket, published, lambda b: control_record.start_experiment(b, "BO1", "CO1", 20, "test"), check)


Act = Callable[[MemoryBucket], object]


@pytest.mark.parametrize("outcome", ["promote", "rollback"])
def test_whatever_was_cut_short_is_finished_by_the_next_run(drafts: list[Path], outcome: str) -> None:
    """Killed after every operation, and never called again: the sweep of the next run finishes it instead."""
    act: Act = (
        (lambda b: promotion.promote(b, "CO1", in_production, "t", "better"))
        if outcome == "promote"
        else (lambda b: promotion.roll_back(b, "CO1", "t", "worse"))
    )
    finished = 0
    for operations in range(500):
        bucket = MemoryBucket()
        start_trial(bucket, drafts)
        try:
            act(DyingBucket(bucket, operations))  # type: ignore[arg-type]
        except Killed:
            done = promotion.resume_interrupted(bucket, "next run")
            if promotion.outcome_of(bucket, "CO1") == "promote":
                promotion.promote(bucket, "CO1", in_production, "next run", "better")
                done.append("the promotion was finished")
            assert_consistent(bucket)
            assert promotion.resume_interrupted(bucket, "next run") == []
            if promotion.outcome_of(bucket, "CO1"):
                assert bundle_reader.highest(bucket, "CO") is None
                assert bundle_reader.highest(bucket, "BO") == ("BO2" if outcome == "promote" else "BO1")
                assert control_record.read(bucket).state == "idle"
                finished += bool(done)
            else:
                assert control_record.read(bucket).state == "running"
            continue
        break
    assert finished > 10


def test_a_decided_promotion_is_left_to_the_task_that_waits_for_replicas(trial: MemoryBucket) -> None:
    def never(_: str) -> None:
        raise NotReady("not yet")

    with pytest.raises(NotReady):
        promotion.promote(trial, "CO1", never, "evaluation", "better")
    assert promotion.resume_interrupted(trial, "next run") == []
    assert bundle_reader.highest(trial, "CO") == "CO1"


def test_of_several_candidates_the_one_on_trial_is_kept(trial: MemoryBucket, drafts: list[Path]) -> None:
    publish(trial, drafts[2], "third", "CO")
    assert promotion.resume_interrupted(trial, "next run") == ["CO2 was archived untried, because CO1 is the candidate"]
    assert bundle_reader.published(trial, "CO") == ["CO1"]


def test_of_several_candidates_without_a_trial_the_highest_is_kept(bucket: MemoryBucket, drafts: list[Path]) -> None:
    for number in range(2):
        publish(bucket, drafts[number], f"run {number}", "CO")
    assert promotion.resume_interrupted(bucket, "next run") == [
        "CO1 was archived untried, because CO2 is the candidate"
    ]
    assert promotion.resume_interrupted(bucket, "next run") == []


def test_bundles_that_lost_are_candidates_rolled_back_and_productions_taken_back(
    trial: MemoryBucket, drafts: list[Path]
) -> None:
    assert promotion.rejected_bundles(trial) == []
    promotion.roll_back(trial, "CO1", "tests", "it lost")
    publish(trial, drafts[1], "again", "CO")
    control_record.start_experiment(trial, "BO1", "CO2", 20, "tests")
    promotion.promote(trial, "CO2", lambda _: None, "tests", "it won")
    assert promotion.rejected_bundles(trial) == ["CO1"]
    promotion.revert(trial, "BO1", lambda _: None, "tests", "it does harm")
    assert promotion.rejected_bundles(trial) == ["BO2", "CO1"]


def test_half_an_archive_without_a_decision_is_finished(trial: MemoryBucket) -> None:
    with pytest.raises(Killed):
        bundle_publisher.archive(DyingBucket(trial, 5), "CO1")
    assert promotion.resume_interrupted(trial, "next run") == [
        "the experiment BO1-CO1 was ended, because CO1 is in the archive",
        "the rest of CO1 was moved to the archive",
    ]
    assert_consistent(trial)


def test_of_two_decisions_at_once_the_first_holds(trial: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    promotion.claim_outcome(trial, "CO1", "rollback", "evaluation")
    real, at_first = promotion.outcome_of, [None]
    monkeypatch.setattr(promotion, "outcome_of", lambda *asked: at_first.pop() if at_first else real(*asked))
    with pytest.raises(Conflict, match="was made first"):
        promotion.claim_outcome(trial, "CO1", "promote", "person")
    assert real(trial, "CO1") == "rollback"


def test_bundles_that_lost_are_told_newest_first(trial: MemoryBucket, drafts: list[Path]) -> None:
    promotion.roll_back(trial, "CO1", "tests", "it lost")
    publish(trial, drafts[1], "again", "CO")
    promotion.roll_back(trial, "CO2", "tests", "it lost")
    for run in ("two", "four"):
        publish(trial, drafts[2], run, "BO")
        promotion.revert(trial, "BO1", in_production, "person", "bad")
    assert promotion.rejected_bundles(trial) == ["BO4", "BO2", "CO2", "CO1"]


def test_visitors_leave_a_candidate_before_its_bundle_does(
    trial: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = bundle_publisher.archive

    def archive(bucket: MemoryBucket, version: str) -> None:
        seen.append(control_record.read(bucket).state)
        real(bucket, version)

    monkeypatch.setattr(bundle_publisher, "archive", archive)
    promotion.roll_back(trial, "CO1", "evaluation", "it lost")
    assert seen[0] == "idle"
