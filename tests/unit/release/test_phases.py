"""Changes of the phase in the control record: taken once, never against a person, and safe against kills."""

from __future__ import annotations

import json

import pytest

from homeprices.adapters.object_store import Bucket, MemoryBucket
from homeprices.errors import Conflict
from homeprices.release import control_record, phases
from homeprices.release.experiment_record import ControlRecord
from homeprices.release.trial_levels import spent
from tests.support.factories import Clock
from tests.support.faulty_bucket import DyingBucket, Killed, LostAnswers


def begin(bucket: MemoryBucket, clock: Clock, share: float = 5, level: float | None = None) -> ControlRecord:
    """Begin the experiment of CO1 in its ramp."""
    bucket.put("models/price_check_CO1/manifest.json", b"{}")
    return control_record.start_experiment(
        bucket, "BO1", "CO1", share, "test", clock=clock, new_salt=lambda: "5a17", phase="ramp",
        level=None if level is None else lambda trials, at: level,
    )  # fmt: skip


def step(bucket: Bucket, clock: Clock, epoch: int = 1, share: float = 20) -> ControlRecord:
    return phases.take_step(bucket, "BO1-CO1", epoch, share, "trial", "evaluation", "no harm", clock=clock)


def test_a_step_is_an_epoch_of_the_same_experiment_with_the_same_visitors(bucket: MemoryBucket, clock: Clock) -> None:
    before = begin(bucket, clock)
    clock.forward(days=1)
    after = step(bucket, clock)
    assert (before.phase, before.share, after.phase, after.share) == ("ramp", 5, "trial", 20)
    assert [(epoch.epoch, epoch.share) for epoch in after.epochs] == [(1, 5), (2, 20)]
    assert (after.salt, after.started_at, after.level) == (before.salt, before.started_at, before.level)
    assert step(bucket, clock) == after, "a retry names the epoch that it decided on"


def test_a_step_that_somebody_overtook_is_not_taken(bucket: MemoryBucket, clock: Clock) -> None:
    begin(bucket, clock)
    stopped = control_record.stop_share(bucket, "router", "8 of 10 failed", clock=clock)
    assert step(bucket, clock) == stopped
    assert step(bucket, clock, epoch=2) == stopped, "a stopped candidate gets no visitors"
    ended = control_record.end_experiment(bucket, "CO1", "evaluation", "harm", clock=clock)
    assert step(bucket, clock, epoch=3) == ended and (ended.phase, ended.share) == (None, 0)


@pytest.mark.parametrize("share", [10, 5])
def test_a_share_that_a_person_sets_ends_the_ramp_even_the_one_of_the_step(
    bucket: MemoryBucket, clock: Clock, share: float
) -> None:
    begin(bucket, clock, share=5)
    record = control_record.set_share(bucket, share, "person:ann", clock=clock)
    assert (record.share, record.phase) == (share, "trial")
    assert step(bucket, clock) == record
    assert control_record.set_share(bucket, share, "person:ann", clock=clock) == record


def test_another_production_begins_the_step_again(bucket: MemoryBucket, clock: Clock) -> None:
    begin(bucket, clock)
    clock.forward(hours=5)
    record = control_record.set_production(bucket, "BO2", "watch", "harm", clock=clock)
    assert (record.phase, record.share, record.epochs[-1].since) == ("ramp", 5, clock.now)


def test_a_person_repeats_a_step_of_the_ramp_with_the_evidence_so_far(bucket: MemoryBucket, clock: Clock) -> None:
    before = begin(bucket, clock, level=0.004)
    clock.forward(hours=5)
    after = phases.repeat(bucket, "person:ann", "the log was lost", clock=clock)
    assert (after.phase, after.share, after.epoch, after.epochs[-1].since) == ("ramp", 5, 2, clock.now)
    assert (after.started_at, after.level, len(after.trials)) == (before.started_at, 0.004, 1)
    assert phases.repeat(bucket, "person:ann", "the log was lost", clock=clock) == after, "repeated, it has no effect"


def test_a_person_repeats_a_trial_from_nothing_for_half_of_its_level(bucket: MemoryBucket, clock: Clock) -> None:
    begin(bucket, clock, level=0.004)
    step(bucket, clock)
    clock.forward(days=2)
    after = phases.repeat(bucket, "person:ann", "the log was lost", clock=clock)
    assert (after.phase, after.share, after.started_at, len(after.epochs)) == ("trial", 20, clock.now, 1)
    assert (after.level, spent(after.trials, clock.now)) == (0.002, [0.004, 0.002])


def test_without_a_running_experiment_there_is_no_phase_to_repeat(bucket: MemoryBucket, clock: Clock) -> None:
    with pytest.raises(Conflict, match="no experiment is running"):
        phases.repeat(bucket, "person:ann", "why not")
    begin(bucket, clock)
    control_record.stop_share(bucket, "router", "slow", clock=clock)
    with pytest.raises(Conflict, match="no experiment is running"):
        phases.repeat(bucket, "person:ann", "why not")


@pytest.mark.parametrize("change", ["step", "repeat the ramp", "repeat the trial"])
def test_a_change_of_phase_survives_a_kill_after_every_operation(clock: Clock, change: str) -> None:
    def prepare(bucket: MemoryBucket) -> None:
        begin(bucket, clock, level=0.004)
        if change == "repeat the trial":
            step(bucket, clock)

    def act(bucket: Bucket) -> object:
        return step(bucket, clock) if change == "step" else phases.repeat(bucket, "person:ann", "again", clock=clock)

    expected = {
        "step": (20, "trial", 2, 0.004),
        "repeat the ramp": (5, "ramp", 2, 0.004),
        "repeat the trial": (20, "trial", 3, 0.002),
    }[change]
    for operations in range(20):
        fresh = MemoryBucket()
        prepare(fresh)
        try:
            act(DyingBucket(fresh, operations))
        except Killed:
            act(fresh)
            record = control_record.read(fresh)
            assert (record.share, record.phase, record.epoch, record.level) == expected
            continue
        assert operations == 2, "it reads the record and writes it, once"
        return
    raise AssertionError("it never came to its end")


def test_an_answer_that_is_lost_takes_one_step(bucket: MemoryBucket, clock: Clock) -> None:
    begin(bucket, clock)
    assert step(LostAnswers(bucket), clock).epoch == 2


def test_a_record_from_before_there_was_a_ramp_is_read_and_its_trial_goes_on(
    bucket: MemoryBucket, clock: Clock
) -> None:
    record = json.loads(begin(bucket, clock, share=20).model_dump_json())
    del record["phase"]
    bucket.put(control_record.KEY, json.dumps(record).encode())
    read = control_record.read(bucket)
    assert (read.phase, read.share, read.state) == (None, 20, "running")
    assert phases.repeat(bucket, "person:ann", "again", clock=clock).phase == "trial"
