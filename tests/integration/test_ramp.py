"""The phases of a candidate on a real database: ramp, trial, harm in the ramp, and a person in the bake window."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from homeprices.experiment import decision_log, policies
from homeprices.release import control_record, phases
from homeprices.workflows.auto_revert import PostPromotionAnalysis
from homeprices.workflows.evaluate_experiment import Evaluation
from homeprices.workflows.status import experiment_status
from tests.support.fake_servers import Hook
from tests.support.trial import NOW, Trial

POLICY = """
rule: sequential
least_duration: P0D
ramp:
- {share: 1, least_exposures: 5000}
- {share: 5, least_duration: PT2H, least_exposures: 60}
- 20
"""


@pytest.fixture
def trial(engine: Engine, tmp_path: Path, hook: Hook) -> Iterator[Trial]:
    """A production and a candidate that no visitor has met."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    made = Trial(engine, tmp_path, SLACK_WEBHOOK_URL=hook.url, HOMEPRICES_POLICY=str(tmp_path / "policy.yaml"))
    yield made
    made.close()


def evaluation(trial: Trial, run: str, now: datetime = NOW) -> Evaluation:
    return Evaluation(trial.resources, run, clock=lambda: now)


def look(trial: Trial, run: str, now: datetime = NOW) -> dict[str, Any]:
    """Decide, and take the step of the ramp if the decision does."""
    one = evaluation(trial, run, now)
    decided = one.decide(one.collect_evidence())
    if not decided.get("ends"):
        one.continue_experiment(decided)
    return decided


def test_a_candidate_skips_a_step_ramps_and_is_tried(trial: Trial, hook: Hook) -> None:
    trial.visits("production", 700, 4.0, ts=NOW - timedelta(days=2))
    began = NOW - timedelta(hours=1.5)
    look(trial, "start", began)
    record = control_record.read(trial.bucket)
    assert (record.share, record.phase, record.started_at) == (5, "ramp", began)
    assert "The step of 1 % is skipped: at 100 requests a day it takes 5,000.0 days." in record.reason
    trial.visits("production", 1159)
    trial.visits("candidate", 61, 4.0)
    assert look(trial, "early")["reason"].endswith("5 % of the visitors, 61 of 60 exposures, 1.5 of 2 h).")
    lines = experiment_status(trial.resources, clock=lambda: NOW).splitlines()
    assert "phase        ramp, step 2 of 3: 5 % of the visitors, 61 of 60 exposures, 1.5 of 2 h" in lines
    assert [line for line in lines if line.startswith("skipped      The step of 1 % is skipped: at 274 requests")]
    later = NOW + timedelta(hours=1)
    decided = look(trial, "due", later)
    assert (decided["outcome"], decided["statistics"]["ramp_share"]) == ("continue", 20)
    assert look(trial, "due", later)["id"] == decided["id"], "a repeated run"
    record = control_record.read(trial.bucket)
    assert (record.share, record.phase, record.epoch) == (20, "trial", 2)
    sent = [str(post["text"]).splitlines()[0] for post in hook.posts]
    assert sent == ["*CO1 goes from 5 to 20 % of the visitors (trial)*"]
    assert "comes out the same" in decision_log.replay(trial.resources, decided["id"])
    page = trial.bucket.get(f"reports/decisions/{decided['id']}.html").body.decode()
    assert "ramp, step 2 of 3" in page
    assert "phase        trial" in experiment_status(trial.resources, clock=lambda: later)


def test_harm_in_the_ramp_ends_the_trial_with_a_share_of_zero(trial: Trial) -> None:
    control_record.start_experiment(
        trial.bucket, "BO1", "CO1", 5, "tests", clock=lambda: NOW - timedelta(hours=5), phase="ramp"
    )
    trial.visits("production", 1200)
    trial.visits("candidate", 60, fallback=True, bundle="BO1", served_variant="production")
    decided = look(trial, "run1")
    assert decided["outcome"] == "rollback", decided["reason"]
    evaluation(trial, "person").run_manual_action("skip", None, "ann", "before it takes effect")
    assert look(trial, "run2")["id"] == decided["id"], "a skipped step does not undo a decision"
    evaluation(trial, "run2").roll_back(decided)
    record = control_record.read(trial.bucket)
    assert (record.state, record.share, record.phase) == ("idle", 0, None)


def test_a_step_that_begins_again_counts_its_own_exposures(trial: Trial) -> None:
    control_record.start_experiment(
        trial.bucket, "BO1", "CO1", 5, "tests", clock=lambda: NOW - timedelta(hours=5), phase="ramp"
    )
    trial.visits("production", 1200)
    trial.visits("candidate", 61)
    assert evaluation(trial, "run1").collect_evidence()["evidence"]["ramp"]["exposures"] == 61
    evaluation(trial, "person").run_manual_action("repeat", None, "ann", "the router was away")
    assert evaluation(trial, "run2").collect_evidence()["evidence"]["ramp"]["exposures"] == 0


def test_a_person_skips_and_repeats_a_bake_window(trial: Trial) -> None:
    trial.begin()
    trial.visits("production", 400, [2.0, 3.0, 4.0])
    trial.visits("candidate", 100, [4.0, 5.0, 4.0])
    one = Evaluation(trial.resources, "run1", policies.load("demo"), clock=lambda: NOW)
    promoted = one.promote(one.decide(one.collect_evidence()))
    assert promoted["result_version"] == "BO2"
    assert phases.models_in(trial.bucket, NOW) == {"bake": "BO2"}, "before the next evaluation"
    with trial.engine.connect() as connection:
        found = decision_log.find(connection, "run1")
    assert found is not None

    def watched() -> str:
        return PostPromotionAnalysis(trial.resources, policies.load("demo"), clock=lambda: found.ts).run()

    assert watched().startswith("BO2 shows no harm so far")
    assert ", phase bake until " in experiment_status(trial.resources, clock=lambda: found.ts)
    person = evaluation(trial, "run2")
    for _ in range(2):
        assert person.run_manual_action("skip", None, "ann", "it is known") == ["BO2 is no longer watched."]
    assert watched() == "BO2 is not watched: person:ann has skipped its bake window (it is known)."
    assert "bake" not in experiment_status(trial.resources, clock=lambda: found.ts)
    assert phases.models_in(trial.bucket, found.ts) == {}
    person.run_manual_action("repeat", "BO2", "ann", "it is not")
    assert phases.models_in(trial.bucket, found.ts) == {"bake": "BO2"}
    assert watched().startswith("BO2 shows no harm so far")
    assert phases.models_in(trial.bucket, found.ts) == {"bake": "BO2"}
    assert [outcome for _, outcome, _ in trial.decisions()] == ["promote", "skip", "repeat"]
