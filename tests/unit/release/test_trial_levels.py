"""Levels in the control record: a trial has its own before it starts, and keeps it; no two writers spend one twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import DatabaseUnavailable
from homeprices.release import control_record
from homeprices.release.experiment_record import ControlRecord
from homeprices.release.trial_levels import YEAR, TrialLevel
from tests.support.factories import Clock
from tests.support.faulty_bucket import DyingBucket, Killed, LostAnswers


def halves(trials: Sequence[TrialLevel], at: datetime) -> float:
    """Half of what is left of 0.1."""
    return (0.1 - sum(trial.level for trial in trials)) / 2


def start(bucket: MemoryBucket, clock: Clock, candidate: str = "CO1") -> ControlRecord:
    return control_record.start_experiment(bucket, "BO1", candidate, 20, "test", clock=clock, level=halves)


def levels(bucket: MemoryBucket) -> list[tuple[str, float]]:
    return [(trial.experiment, trial.level) for trial in control_record.read(bucket).trials]


def test_a_trial_has_its_level_before_it_starts_and_keeps_it_through_changes_of_its_share(
    bucket: MemoryBucket, clock: Clock
) -> None:
    assert start(bucket, clock).level == 0.05
    clock.forward(days=1)
    assert start(bucket, clock).level == 0.05, "a repeated start asks for no second level"
    control_record.stop_share(bucket, "router", "slow", clock=clock)
    assert control_record.set_share(bucket, 30, "person", clock=clock).level == 0.05
    assert levels(bucket) == [("BO1-CO1", 0.05)]


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_level_is_an_error_rate_of_less_than_one_half(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        ControlRecord(level=level)


def test_a_trial_that_ended_has_spent_its_level_for_a_year(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    ended = control_record.end_experiment(bucket, "CO1", "person", "no", clock=clock)
    assert (ended.level, levels(bucket)) == (None, [("BO1-CO1", 0.05)])
    control_record.set_production(bucket, "BO2", "person", "another", clock=clock)
    clock.now += YEAR - timedelta(seconds=1)
    assert start(bucket, clock, "CO2").level == 0.025
    control_record.end_experiment(bucket, "CO2", "person", "no", clock=clock)
    clock.forward(seconds=1)
    assert start(bucket, clock, "CO3").level == pytest.approx(0.0125), "this rule itself forgets nothing"
    assert [name for name, _ in levels(bucket)] == ["BO1-CO2", "BO1-CO3"], "the record does, after a year"


def test_another_production_leaves_the_restarted_trial_half_of_its_level(bucket: MemoryBucket, clock: Clock) -> None:
    start(bucket, clock)
    for number, level in ((2, 0.025), (3, 0.0125)):
        clock.forward(hours=1)
        record = control_record.set_production(bucket, f"BO{number}", "watch", "harm", clock=clock)
        assert (record.level, record.trials[-1].since) == (level, clock.now)
    assert [level for _, level in levels(bucket)] == [0.05, 0.025, 0.0125]


def test_two_writers_never_spend_the_same_error(bucket: MemoryBucket, clock: Clock) -> None:
    """Another writer tries and ends a whole trial after this one has asked for its level."""
    asked: list[int] = []

    def overtaken(trials: Sequence[TrialLevel], at: datetime) -> float:
        asked.append(len(trials))
        if len(asked) == 1:
            clock.forward(seconds=1)
            start(bucket, clock, "CO2")
            control_record.end_experiment(bucket, "CO2", "other", "no", clock=clock)
        return halves(trials, at)

    record = control_record.start_experiment(bucket, "BO1", "CO1", 20, "test", clock=clock, level=overtaken)
    assert (asked, record.level) == ([0, 1], 0.025)
    assert levels(bucket) == [("BO1-CO2", 0.05), ("BO1-CO1", 0.025)]


def test_a_start_that_is_killed_or_unanswered_and_repeated_spends_once(clock: Clock) -> None:
    for step in range(1, 3):
        bucket = MemoryBucket()
        with pytest.raises(Killed):
            start(DyingBucket(bucket, step), clock)  # type: ignore[arg-type]
        assert (start(bucket, clock).level, levels(bucket)) == (0.05, [("BO1-CO1", 0.05)])
    lost = MemoryBucket()
    assert start(LostAnswers(lost), clock).level == 0.05  # type: ignore[arg-type]
    assert levels(lost) == [("BO1-CO1", 0.05)]


def test_a_trial_whose_level_cannot_be_determined_does_not_start(bucket: MemoryBucket, clock: Clock) -> None:
    def unavailable(trials: Sequence[TrialLevel], at: datetime) -> float:
        raise DatabaseUnavailable("the decision log does not answer")

    with pytest.raises(DatabaseUnavailable):
        control_record.start_experiment(bucket, "BO1", "CO1", 20, "test", clock=clock, level=unavailable)
    assert control_record.read(bucket) == ControlRecord()


def test_without_a_rule_a_trial_has_no_level_and_an_older_record_is_read(bucket: MemoryBucket, clock: Clock) -> None:
    record = control_record.start_experiment(bucket, "BO1", "CO1", 20, "test", clock=clock)
    assert (record.level, record.trials) == (None, ())
    assert control_record.set_production(bucket, "BO2", "watch", "harm", clock=clock).level is None
    older = record.model_dump_json(exclude={"level", "trials"}).encode()
    bucket.put(control_record.KEY, older)
    assert control_record.read(bucket) == record
