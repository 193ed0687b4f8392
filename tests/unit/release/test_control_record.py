"""The control record, and how it changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import Conflict, HomePricesError, InvalidInput, NotFound, PreconditionFailed, StorageUnavailable
from homeprices.release import control_record, experiment_record
from homeprices.release.experiment_record import ControlRecord, Epoch
from tests.support.factories import Clock
from tests.support.faulty_bucket import AwayBucket, DyingBucket, Killed, LostAnswers


def start(bucket: MemoryBucket, clock: Clock, candidate: str = "CO1", production: str = "BO1") -> ControlRecord:
    return control_record.start_experiment(bucket, production, candidate, 20, "test", clock=clock)


def test_a_fresh_bucket_is_idle() -> None:
    assert control_record.read(MemoryBucket()) == ControlRecord()


def test_an_experiment_begins_with_an_epoch_a_salt_and_a_share(bucket: MemoryBucket, clock: Clock) -> None:
    record = control_record.start_experiment(
        bucket, "BO1", "CO1", 20, "pipeline", "the best of six", clock=clock, new_salt=lambda: "5a17"
    )
    assert record == control_record.read(bucket)
    assert record == ControlRecord(
        state="running",
        experiment="BO1-CO1",
        production="BO1",
        candidate="CO1",
        salt="5a17",
        share=20,
        epoch=1,
        epochs=(Epoch(epoch=1, share=20, since=clock.now),),
        started_at=clock.now,
        phase="trial",
        updated_at=clock.now,
        updated_by="pipeline",
        reason="the best of six",
    )


def test_starting_twice_starts_one_experiment(bucket: MemoryBucket, clock: Clock) -> None:
    first = start(bucket, clock)
    clock.forward(hours=1)
    assert start(bucket, clock) == first


def test_a_stopped_experiment_is_not_started_again_by_a_repeated_start(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    stopped = control_record.stop_share(bucket, "router", "too many errors", clock=clock)
    assert start(bucket, clock) == stopped


def test_each_candidate_has_its_own_salt(bucket: MemoryBucket, clock: Clock) -> None:
    first = start(bucket, clock)
    control_record.end_experiment(bucket, "CO1", "test", "over", clock=clock)
    second = start(bucket, clock, "CO2")
    assert first.salt != second.salt
    assert min(len(first.salt), len(second.salt)) >= 16


def test_two_candidates_are_not_tried_at_once(bucket: MemoryBucket, clock: Clock) -> None:
    bucket.put("models/price_check_CO1/manifest.json", b"{}")
    start(bucket, clock)
    with pytest.raises(Conflict, match="BO1-CO1 is on trial; end it before CO2 begins"):
        start(bucket, clock, "CO2")


def test_a_candidate_that_is_gone_makes_way_for_the_next(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    assert start(bucket, clock, "CO2").experiment == "BO1-CO2"


def test_an_archived_candidate_is_not_tried_again(bucket: MemoryBucket, clock: Clock) -> None:
    bucket.put("archive/price_check_CO1/manifest.json", b"{}")
    with pytest.raises(Conflict, match="CO1 has ended"):
        start(bucket, clock)


@pytest.mark.parametrize(
    ("production", "candidate"), [("CO1", "CO1"), ("BO1", "BO2"), ("BO1", "train_V1"), ("x", "CO1")]
)
def test_production_is_a_bo_and_the_candidate_a_co(bucket: MemoryBucket, production: str, candidate: str) -> None:
    with pytest.raises(InvalidInput):
        control_record.start_experiment(bucket, production, candidate, 20, "test")


@pytest.mark.parametrize("share", [-1, 50.1, 100, float("nan"), float("inf")])
def test_a_share_is_from_0_to_50_percent(bucket: MemoryBucket, clock: Clock, share: float) -> None:
    start(bucket, clock)
    with pytest.raises(InvalidInput, match="from 0 to 50 percent"):
        control_record.set_share(bucket, share, "test")


def test_another_share_opens_another_epoch_and_the_same_does_not(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    clock.forward(hours=2)
    record = control_record.set_share(bucket, 30, "person", clock=clock)
    assert (record.share, record.epoch, record.state) == (30, 2, "running")
    assert [(e.epoch, e.share) for e in record.epochs] == [(1, 20), (2, 30)]
    assert record.started_at != record.epochs[1].since == clock.now
    assert control_record.set_share(bucket, 30, "another", clock=clock) == record


def test_stopping_takes_the_share_to_zero_and_keeps_the_experiment(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    record = control_record.stop_share(bucket, "router", "12 of 40 answers failed", clock=clock)
    assert (record.state, record.share, record.epoch, record.candidate) == ("stopped", 0, 2, "CO1")
    assert (record.updated_by, record.reason) == ("router", "12 of 40 answers failed")
    assert control_record.stop_share(bucket, "router", "again", clock=clock) == record


def test_a_share_of_zero_is_a_stop(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    record = control_record.set_share(bucket, 0, "person", clock=clock)
    assert (record.state, record.reason) == ("stopped", "share set to 0 %")


def test_a_stopped_experiment_runs_again_when_it_is_given_a_share(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    control_record.stop_share(bucket, "router", "slow", clock=clock)
    record = control_record.set_share(bucket, 10, "person", clock=clock)
    assert (record.state, record.share, record.epoch) == ("running", 10, 3)


def test_without_an_experiment_there_is_nothing_to_share_and_nothing_to_stop(bucket: MemoryBucket) -> None:
    with pytest.raises(Conflict, match="no experiment is running"):
        control_record.set_share(bucket, 10, "person")
    assert control_record.stop_share(bucket, "router", "slow") == ControlRecord()
    assert list(bucket.list("")) == []


def test_ending_leaves_production_alone_and_the_epochs_to_read(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    record = control_record.end_experiment(bucket, "CO1", "evaluation", "it lost", clock=clock)
    assert (record.state, record.experiment, record.candidate, record.share) == ("idle", None, None, 0)
    assert (record.production, record.salt, record.started_at) == ("BO1", "", None)
    assert [(e.epoch, e.share) for e in record.epochs] == [(1, 20), (2, 0)]
    assert control_record.end_experiment(bucket, "CO1", "evaluation", "it lost", clock=clock) == record


def test_ending_with_a_winner_names_what_is_in_production(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    assert control_record.end_experiment(bucket, "CO1", "evaluation", "it won", production="BO2").production == "BO2"


def test_the_end_of_one_candidate_does_not_end_another(bucket: MemoryBucket, clock: Clock) -> None:
    running = start(bucket, clock, "CO2")
    assert control_record.end_experiment(bucket, "CO1", "late", "it lost", production="BO9") == running


def test_the_epoch_goes_on_counting_through_experiments(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    control_record.end_experiment(bucket, "CO1", "test", "over", clock=clock)
    record = start(bucket, clock, "CO2")
    assert (record.epoch, [e.epoch for e in record.epochs]) == (3, [3])


def test_another_production_is_noted(bucket: MemoryBucket, clock: Clock) -> None:
    assert control_record.set_production(bucket, "BO1", "pipeline", "first model", clock=clock).production == "BO1"
    assert control_record.read(bucket).epoch == 0
    with pytest.raises(InvalidInput):
        control_record.set_production(bucket, "CO1", "pipeline", "no")


def test_another_production_restarts_a_running_experiment_for_the_same_visitors(
    bucket: MemoryBucket, clock: Clock
) -> None:
    before = start(bucket, clock)
    clock.forward(days=2)
    record = control_record.set_production(bucket, "BO2", "person", "BO1 was bad", clock=clock)
    assert (record.experiment, record.candidate, record.salt, record.share) == ("BO2-CO1", "CO1", before.salt, 20)
    assert (record.epoch, record.started_at, len(record.epochs)) == (2, clock.now, 1)
    assert control_record.set_production(bucket, "BO2", "person", "again", clock=clock) == record


def test_another_production_does_not_start_a_stopped_experiment(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    control_record.stop_share(bucket, "router", "slow", clock=clock)
    assert control_record.set_production(bucket, "BO2", "person", "BO1 was bad", clock=clock).state == "stopped"


def test_a_writer_that_lost_a_race_applies_its_change_to_the_newer_record(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    raced: list[ControlRecord] = []

    def set_to_30(record: ControlRecord) -> ControlRecord:
        if not raced:
            raced.append(control_record.stop_share(bucket, "router", "slow", clock=clock))
        return record.model_copy(update={"reason": "", "production": "BO7", "epoch": record.epoch})

    record = control_record.change(bucket, set_to_30, "person", "why", clock)
    assert (record.state, record.production, record.updated_by) == ("stopped", "BO7", "person")


def test_our_own_write_that_is_answered_with_a_refusal_is_not_repeated(bucket: MemoryBucket, clock: Clock) -> None:
    record = start(LostAnswers(bucket), clock)  # type: ignore[arg-type]
    assert record == control_record.read(bucket)
    assert record.epoch == 1
    assert control_record.set_share(LostAnswers(bucket), 30, "test", clock=clock).epoch == 2


def test_our_own_write_is_recognised_in_a_record_that_grew_from_it(bucket: MemoryBucket, clock: Clock) -> None:
    class StoppedMeanwhile(LostAnswers):
        def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
            try:
                return super().put(key, body, if_absent=if_absent, if_match=if_match)
            finally:
                control_record.stop_share(bucket, "router", "slow", clock=clock)

    start(bucket, clock)
    clock.forward(minutes=1)
    record = control_record.set_share(StoppedMeanwhile(bucket), 30, "person", clock=clock)
    assert (record.state, record.share, [e.share for e in record.epochs]) == ("stopped", 0, [20, 30, 0])


def test_a_record_that_never_holds_still_is_given_up(bucket: MemoryBucket) -> None:
    class Refusing(MemoryBucket):
        def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
            raise PreconditionFailed(key)

    with pytest.raises(Conflict, match="changed by others 20 times"):
        control_record.start_experiment(Refusing(), "BO1", "CO1", 20, "test")


def test_an_epoch_never_decreases(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    with pytest.raises(Conflict, match="epoch 0 is below 1"):
        control_record.change(bucket, lambda _: ControlRecord(), "test", "reset")


def test_a_change_that_makes_no_sense_is_not_written(bucket: MemoryBucket, clock: Clock) -> None:
    record = start(bucket, clock)
    with pytest.raises(ValidationError):
        control_record.change(bucket, lambda r: r.model_copy(update={"candidate": None}), "test", "broken")
    assert control_record.read(bucket) == record


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "idle", "candidate": "CO1"},
        {"state": "idle", "share": 5},
        {"state": "running", "candidate": "CO1", "production": "BO1"},
        {"state": "stopped", "candidate": "CO1", "production": "BO1", "experiment": "BO1-CO1", "share": 5},
        {"salt": "not hex"},
        {"share": 60},
        {"colour": "blue"},
    ],
)
def test_a_record_of_contradictions_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ControlRecord.model_validate(fields)


@pytest.mark.parametrize("body", [b"", b"{", b'{"state": "dancing"}'])
def test_a_damaged_record_is_named_and_not_overwritten(bucket: MemoryBucket, body: bytes) -> None:
    bucket.put(control_record.KEY, body)
    with pytest.raises(HomePricesError, match=r"control/experiment.json is not a control record"):
        control_record.stop_share(bucket, "router", "slow")
    assert bucket.get(control_record.KEY).body == body


def test_a_bucket_that_is_away_is_said_to_be() -> None:
    with pytest.raises(StorageUnavailable):
        control_record.read(AwayBucket())  # type: ignore[arg-type]


Step = Callable[[MemoryBucket, Clock], object]
STEPS: dict[str, Step] = {
    "start 1": lambda b, c: start(b, c, "CO1"),
    "start 2": lambda b, c: start(b, c, "CO2"),
    "share": lambda b, c: control_record.set_share(b, 35, "test", clock=c),
    "stop": lambda b, c: control_record.stop_share(b, "test", "stop", clock=c),
    "end 1": lambda b, c: control_record.end_experiment(b, "CO1", "test", "end", production="BO2", clock=c),
    "production": lambda b, c: control_record.set_production(b, "BO3", "test", "new", clock=c),
}


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=12))
def test_whatever_happens_epochs_rise_and_the_last_one_is_the_share_that_holds(steps: list[str]) -> None:
    bucket, clock, last = MemoryBucket(), Clock(), 0
    for step in steps:
        clock.forward(minutes=1)
        before = control_record.read(bucket)
        try:
            STEPS[step](bucket, clock)
        except (Conflict, NotFound):
            continue
        record = control_record.read(bucket)
        assert record.epoch >= last
        assert (record.share, record.salt) == (before.share, before.salt) or record.epoch > last
        if record.epochs:
            assert (record.epochs[-1].epoch, record.epochs[-1].share) == (record.epoch, record.share)
            assert [e.epoch for e in record.epochs] == sorted({e.epoch for e in record.epochs})
        last = record.epoch


@pytest.mark.parametrize("step", sorted(STEPS))
def test_a_change_that_is_killed_anywhere_and_made_again_is_made_once(step: str, clock: Clock) -> None:
    def prepared() -> MemoryBucket:
        fresh = MemoryBucket()
        if step not in ("start 1", "start 2"):
            start(fresh, clock)
        return fresh

    whole = prepared()
    STEPS[step](whole, clock)
    expected = control_record.read(whole)
    for operations in range(20):
        bucket = prepared()
        try:
            STEPS[step](DyingBucket(bucket, operations), clock)  # type: ignore[arg-type]
        except Killed:
            STEPS[step](bucket, clock)
            found = control_record.read(bucket)
            assert found.model_copy(update={"salt": expected.salt}) == expected
            continue
        break


def test_a_reason_that_is_given_is_on_record(bucket: MemoryBucket, clock: Clock) -> None:
    control_record.start_experiment(bucket, "BO1", "CO1", 20, "test", clock=clock)
    assert control_record.set_share(bucket, 50, "person", "it looks good", clock=clock).reason == "it looks good"
    assert control_record.set_share(bucket, 10, "person", clock=clock).reason == "share set to 10 %"


def test_an_experiment_does_not_begin_with_a_share_that_is_not_allowed(bucket: MemoryBucket) -> None:
    with pytest.raises(InvalidInput, match="from 0 to 50 percent"):
        control_record.start_experiment(bucket, "BO1", "CO1", 50.1, "test")


def test_a_salt_is_16_digits_of_chance_and_at_most_64(bucket: MemoryBucket) -> None:
    assert len(control_record.start_experiment(bucket, "BO1", "CO1", 20, "test").salt) == 16
    assert ControlRecord(salt="a" * 64).salt == "a" * 64
    with pytest.raises(ValidationError, match="at most 64"):
        ControlRecord(salt="a" * 65)


def test_a_share_has_the_resolution_of_nginx() -> None:
    assert [experiment_record.hundredths(share) for share in (0, 12.344, 12.346, 100)] == [0, 1234, 1235, 10_000]
    assert experiment_record.hundredths(100) == experiment_record.HUNDREDTHS
    for share in (-0.01, 100.01):
        with pytest.raises(ValueError, match="a share is from 0 to 100 percent"):
            experiment_record.hundredths(share)
