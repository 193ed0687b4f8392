"""An evaluation from evidence to outcome, on a real database, killed between its steps and run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from homeprices.errors import NotReady
from homeprices.registry import bundle_publisher, bundle_reader
from homeprices.release import control_record
from homeprices.workflows import heartbeat
from homeprices.workflows.evaluate_experiment import Evaluation
from tests.support.trial import NOW, Trial


@pytest.fixture
def trial(engine: Engine, tmp_path: Path) -> Iterator[Trial]:
    """A production and a candidate on trial."""
    made = Trial(engine, tmp_path)
    yield made
    made.close()


@pytest.fixture
def won(trial: Trial) -> Trial:
    """A trial that the candidate has won."""
    trial.begin()
    trial.visits("production", 60, stars=3)
    trial.visits("candidate", 55, stars=5)
    return trial


def test_without_a_candidate_nothing_is_decided_and_nothing_recorded(trial: Trial) -> None:
    bundle_publisher.archive(trial.bucket, "CO1")
    decision = trial.evaluation("run1").decide(trial.evaluation("run1").collect_evidence())
    assert decision == {"outcome": "continue", "reason": "There is no candidate."}
    assert trial.decisions() == []


def test_a_candidate_whose_pipeline_was_killed_before_its_start_is_started_once_it_is_served(trial: Trial) -> None:
    trial.replicas[1].held_back = True
    assert "waits until every candidate replica serves it" in trial.evaluation("run1").collect_evidence()["nothing"]
    trial.replicas[1].held_back = False
    assert trial.evaluation("run2").collect_evidence()["evidence"]["experiment"] == "BO1-CO1"
    assert control_record.read(trial.bucket).state == "running"


def test_too_little_evidence_goes_on_and_is_on_record_with_its_reason(trial: Trial) -> None:
    trial.begin()
    trial.visits("candidate", 9, stars=5)
    decision = trial.evaluation("run1").decide(trial.evaluation("run1").collect_evidence())
    assert decision["outcome"] == "continue"
    assert "9 requests in 24 h" in decision["reason"]
    assert trial.decisions() == [("run1", "continue", None)]


@pytest.mark.parametrize("end", ["continue_experiment", "promote", "roll_back"])
def test_an_evaluation_notes_when_it_has_come_to_its_end_and_not_before(won: Trial, end: str) -> None:
    evaluation = won.evaluation("run1")
    decision = evaluation.decide(evaluation.collect_evidence())
    assert heartbeat.last_heartbeat(won.bucket, "evaluation") is None
    getattr(evaluation, end)(decision)
    note = heartbeat.last_heartbeat(won.bucket, "evaluation")
    assert note is not None and (note.at, note.outcome, note.run) == (NOW, "promote", "run1")


def test_a_better_candidate_becomes_the_next_production(won: Trial) -> None:
    evaluation = won.evaluation("run1")
    decision = evaluation.decide(evaluation.collect_evidence())
    assert decision["outcome"] == "promote"
    assert evaluation.promote(decision)["result_version"] == "BO2"
    assert (bundle_reader.highest(won.bucket, "BO"), bundle_reader.highest(won.bucket, "CO")) == ("BO2", None)
    assert control_record.read(won.bucket).state == "idle"
    assert won.decisions() == [("run1", "promote", "BO2")]


def test_a_worse_candidate_is_archived_and_production_stays(trial: Trial) -> None:
    trial.begin()
    trial.visits("production", 60, stars=5)
    trial.visits("candidate", 55, stars=1)
    evaluation = trial.evaluation("run1")
    decision = evaluation.decide(evaluation.collect_evidence())
    evaluation.roll_back(decision)
    assert (bundle_reader.highest(trial.bucket, "BO"), bundle_reader.highest(trial.bucket, "CO")) == ("BO1", None)
    assert bundle_reader.read_manifest(trial.bucket, "CO1").version == "CO1"
    assert trial.decisions() == [("run1", "rollback", None)]


@pytest.mark.parametrize("again", [1, 3])
def test_a_promotion_that_is_repeated_promotes_once(won: Trial, again: int) -> None:
    decision = won.evaluation("run1").decide(won.evaluation("run1").collect_evidence())
    made = {won.evaluation("run1").promote(decision)["result_version"] for _ in range(1 + again)}
    assert made == {"BO2"}
    assert bundle_reader.published(won.bucket, "BO") == ["BO1", "BO2"]


def test_a_decision_whose_run_was_killed_is_carried_out_by_the_next_on_the_evidence_it_was_made_on(won: Trial) -> None:
    decided = won.evaluation("run1").decide(won.evaluation("run1").collect_evidence())
    won.visits("candidate", 200, stars=1)  # on this evidence, the outcome would be another
    later = won.evaluation("run2", NOW + timedelta(hours=1))
    taken_up = later.decide(later.collect_evidence())
    assert taken_up == decided
    assert later.promote(taken_up)["result_version"] == "BO2"
    assert won.decisions() == [("run1", "promote", "BO2")]


def test_a_production_that_does_not_come_up_keeps_the_candidate_on_trial_until_it_does(won: Trial) -> None:
    won.replicas[0].held_back = True
    evaluation = won.evaluation("run1")
    decision = evaluation.decide(evaluation.collect_evidence())
    with pytest.raises(NotReady, match="serves no model"):
        evaluation.promote(decision)
    assert control_record.read(won.bucket).candidate == "CO1"
    won.replicas[0].held_back = False
    later = won.evaluation("run2", NOW + timedelta(hours=1))
    assert later.promote(later.decide(later.collect_evidence()))["result_version"] == "BO2"


def test_a_candidate_that_the_circuit_breaker_stopped_is_rolled_back(trial: Trial) -> None:
    trial.begin()
    trial.visits("candidate", 9)
    control_record.stop_share(trial.bucket, "router", "9 of 9 answers failed", clock=lambda: NOW)
    evaluation = trial.evaluation("run1")
    decision = evaluation.decide(evaluation.collect_evidence())
    assert decision["outcome"] == "rollback"
    assert "9 of 9 answers failed" in decision["reason"]


def test_a_candidate_that_a_person_stopped_waits_for_that_person(trial: Trial) -> None:
    trial.begin()
    control_record.stop_share(trial.bucket, "person", "looking into it", clock=lambda: NOW)
    evaluation = trial.evaluation("run1")
    assert evaluation.decide(evaluation.collect_evidence())["outcome"] == "continue"


@pytest.mark.parametrize("carry_out", [Evaluation.promote, Evaluation.roll_back])
def test_a_release_does_not_fail_because_mlflow_is_away(won: Trial, carry_out: Callable[..., object]) -> None:
    outcome = "promote" if carry_out is Evaluation.promote else "rollback"
    evaluation = won.evaluation("run1")
    decision = {**evaluation.decide(evaluation.collect_evidence()), "outcome": outcome}
    carry_out(evaluation, decision)
    assert bundle_reader.highest(won.bucket, "CO") is None
