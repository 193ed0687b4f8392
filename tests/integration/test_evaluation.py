"""An evaluation from evidence to outcome, on a real database, killed between its steps and run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from homeprices.errors import NotReady
from homeprices.experiment import decision_log
from homeprices.registry import bundle_publisher, bundle_reader
from homeprices.release import control_record
from homeprices.workflows import heartbeat
from homeprices.workflows.evaluate_experiment import Evaluation
from homeprices.workflows.status import experiment_status
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


BY_SEGMENT = "rule: sequential\nname: mine\nleast_duration: P0D\nburst: null\nsegments: {rated_visitors: 20}\n"


def test_a_win_waits_while_the_candidate_is_worse_in_a_segment(engine: Engine, tmp_path: Path) -> None:
    """From rows of the log to the outcome: BO1 knows Whitefield and not Mars, where the homes are large and dear."""
    policy = tmp_path / "mine.yaml"
    policy.write_text(BY_SEGMENT, encoding="utf-8")
    whitefield = {"location": "Whitefield", "total_sqft": 1200, "bhk": 2, "bath": 2}
    mars = {"location": "Mars", "total_sqft": 3000, "bhk": 3, "bath": 3}
    trial = Trial(engine, tmp_path, HOMEPRICES_POLICY=str(policy))
    try:
        trial.begin()
        trial.visits("production", 80, stars=3, inputs=whitefield)
        trial.visits("production", 25, stars=5, inputs=mars)
        trial.visits("production", 380, inputs=mars)
        trial.visits("candidate", 100, stars=5, inputs=whitefield)
        trial.visits("candidate", 20, stars=1, inputs=mars)
        # Its first home decides, not the one that it rates.
        trial.visits("candidate", 1, inputs=mars, visitor="both", ts=NOW - timedelta(hours=2))
        trial.visits("candidate", 1, stars=1, inputs=whitefield, visitor="both")
        evaluation = trial.evaluation("run1", policy=str(policy))
        collected = evaluation.collect_evidence()
        rated = {
            segment["name"]: tuple(sample["n"] for sample in segment["ratings"][0])
            for segment in collected["evidence"]["segments"]
        }
        assert {name: n for name, n in rated.items() if n != (0, 0)} == {
            "region east": (80, 100), "up to 2 bedrooms": (80, 100), "above 50 to 100 lakh": (80, 100),
            "known place": (80, 100), "region general": (25, 21), "above 2 bedrooms": (25, 21),
            "above 100 lakh": (25, 21), "unknown place": (25, 21),
        }  # fmt: skip
        decision = evaluation.decide(collected)
        assert decision["outcome"] == "continue"
        assert "nothing is promoted while CO1 is worse in region general (-4.00 stars by 46" in decision["reason"]
        assert "comes out the same: continue" in decision_log.replay(trial.resources, decision["id"])
        status = experiment_status(trial.resources, clock=lambda: NOW)
        assert "segments     CO1 is worse in region general (-4.00 stars by 46 visitors) and above 2 bed" in status
        assert "8 of 14 have enough rated visitors" in status
        plain = trial.evaluation("run2", policy="demo")
        assert plain.decide(plain.collect_evidence())["outcome"] == "promote", "it is the segments that delay it"
    finally:
        trial.close()


@pytest.mark.parametrize("carry_out", [Evaluation.promote, Evaluation.roll_back])
def test_a_release_does_not_fail_because_mlflow_is_away(won: Trial, carry_out: Callable[..., object]) -> None:
    outcome = "promote" if carry_out is Evaluation.promote else "rollback"
    evaluation = won.evaluation("run1")
    decision = {**evaluation.decide(evaluation.collect_evidence()), "outcome": outcome}
    carry_out(evaluation, decision)
    assert bundle_reader.highest(won.bucket, "CO") is None
