"""The ramp: with which step an experiment begins, when it takes the next one, and that it promotes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from homeprices.errors import InvalidInput
from homeprices.experiment.evidence import Evidence, RampProgress
from homeprices.experiment.policies import document_of, from_document, load
from homeprices.experiment.policies.ramp import TAKEN, RampStep, first_step, phase_of, skipped_steps
from homeprices.experiment.policies.sequential import SequentialPolicy
from tests.unit.experiment.looks import BEGIN, happened, look, paired

DAY = timedelta(days=1)


def policy(*steps: Any, **more: Any) -> SequentialPolicy:
    """Return the default policy with these steps."""
    found = from_document({"rule": "sequential", "ramp": list(steps), **more})
    assert isinstance(found, SequentialPolicy)
    return found


FOUR = policy(1, 5, 20, 50)


def at(
    share: float = 5,
    exposures: int = 60,
    hours: float = 30,
    *,
    a_day: float = 1200,
    days: float = 3,
    epoch: int = 1,
    **more: Any,
) -> Evidence:
    """Return a look in the ramp, so many hours after its step began."""
    now: datetime = BEGIN + timedelta(days=days)
    progress = RampProgress(
        epoch=epoch, share=share, since=now - timedelta(hours=hours), exposures=exposures, a_day=a_day
    )
    return look(days=days, ramp=progress, **more)


def test_the_default_policy_begins_with_5_percent_and_tries_on_20() -> None:
    ours = load("sequential")
    assert ours.ramp == policy(5, 20).ramp == (RampStep(share=5), RampStep(share=20))
    assert (load("demo").ramp, load("composite").ramp, SequentialPolicy().ramp) == (None, None, None)
    assert [phase_of(share, ours.ramp) for share in (5, 20, 30)] == ["ramp", "trial", "trial"]
    assert phase_of(5, None) == "trial"


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ("[]", "ramp: .* must be shares in percent, each larger than the one before"),
        ("[20, 5]", "each larger than the one before"),
        ("[5, 5]", "each larger than the one before"),
        ("[60]", r"ramp.0.share: .* less than or equal to 50 \(not 60\)"),
        ("[0, 5]", "ramp.0.share: .* greater than 0"),
        ("[true]", "ramp.0: "),
        ("5", "ramp: "),
        ("[{share: 5, checks: [luck]}]", "ramp.0.checks.0: Input should be 'errors', 'slow', 'price_errors'"),
        ("[{share: 5, least_exposures: 0}]", "ramp.0.least_exposures"),
        ("[{share: 5, error_rate: 0.5}]", "ramp.0.error_rate"),
    ],
)
def test_a_ramp_that_makes_no_sense_is_refused(steps: str, says: str) -> None:
    import yaml

    with pytest.raises(InvalidInput, match=says):
        from_document({"rule": "sequential", "ramp": yaml.safe_load(steps)})


@pytest.mark.parametrize(
    ("a_day", "begins", "skipped"),
    [
        (100_000, 1, []),
        (360, 1, []),  # 50 exposures at 1 % take 13.9 days
        (350, 5, ["The step of 1 % is skipped: at 350 requests a day it takes 14.3 days."]),
        (60, 20, ["The step of 1 %", "The step of 5 % is skipped: at 60 requests a day it takes 16.7 days."]),
        (0, 50, ["The step of 20 % is skipped: no visitor came in the last days."]),
    ],
)
def test_a_step_that_takes_longer_than_the_trial_is_skipped_and_said(
    a_day: float, begins: float, skipped: list[str]
) -> None:
    found = first_step(FOUR.ramp or (), a_day, timedelta(days=14))
    assert (found.share, found.phase) == (begins, "trial" if begins == 50 else "ramp")
    assert all(sentence in found.skipped for sentence in skipped) and bool(found.skipped) == bool(skipped)


def test_a_step_is_taken_once_it_has_its_exposures_and_its_time() -> None:
    taken = FOUR.decide(at())
    assert (taken.outcome, taken.statistics[TAKEN]) == ("continue", 20)
    assert taken.reason.endswith("The ramp goes from 5 to 20 %.")
    for short in (at(exposures=49), at(hours=23.9)):
        stays = FOUR.decide(short)
        assert stays.outcome == "continue" and TAKEN not in stays.statistics
        assert "The ramp stays at 5 % (step 2 of 4: 5 % of the visitors, " in stays.reason
    assert FOUR.decide(at(20)).statistics[TAKEN] == 50


@pytest.mark.parametrize(
    ("check", "harm"),
    [
        ("errors", {"errors": happened(8, 100)}),
        ("slow", {"slow": happened(6, 100)}),
        ("price errors", {"paired": paired(60, 0.03)}),
        ("ratings", {"stars": (3.6, 3.2), "rated": (120, 30)}),
    ],
)
def test_a_check_that_finds_harm_holds_the_step_before_the_policy_ends_the_trial(
    check: str, harm: dict[str, Any]
) -> None:
    held = FOUR.decide(at(**harm))
    assert held.outcome == "continue", held.reason
    assert TAKEN not in held.statistics
    assert held.reason.endswith(f"The ramp stays at 5 %, because it may do harm ({check}).")
    unchecked = policy(1, {"share": 5, "checks": []}, 20)
    assert unchecked.decide(at(**harm)).statistics[TAKEN] == 20


@pytest.mark.parametrize(
    "harm",
    [
        {"errors": happened(40, 100)},
        {"slow": happened(40, 100)},
        {"paired": paired(200, 0.1)},
        {"stars": (4.0, 2.0)},
        {"stopped": "8 of 10 answers failed"},
    ],
)
def test_harm_ends_the_trial_in_any_step(harm: dict[str, Any]) -> None:
    decided = FOUR.decide(at(**harm))
    assert decided.outcome == "rollback" and TAKEN not in decided.statistics


def test_nothing_is_promoted_in_the_ramp_and_the_trial_promotes_on_the_same_evidence() -> None:
    stars: dict[str, Any] = {"stars": (3.6, 4.4)}
    decided = FOUR.decide(at(exposures=3, **stars))
    assert decided.outcome == "continue"
    assert " Nothing is promoted in the ramp. The ramp stays at 5 %" in decided.reason
    assert FOUR.decide(at(**stars)).statistics[TAKEN] == 20
    assert FOUR.decide(look(**stars)).outcome == "promote"


def test_a_broken_split_and_the_end_of_time_take_no_step() -> None:
    broken = FOUR.decide(at(assigned=(4000, 100), rated=(400, 50)))
    over = FOUR.decide(at(days=14))
    assert (broken.outcome, over.outcome) == ("invalid", "inconclusive")
    assert TAKEN not in broken.statistics and TAKEN not in over.statistics


def test_a_step_for_which_no_time_is_left_is_skipped_unless_it_may_do_harm() -> None:
    slow = at(1, exposures=3, hours=100, a_day=100)  # 47 exposures more take 47 days
    decided = FOUR.decide(slow)
    assert decided.statistics[TAKEN] == 5
    assert decided.reason.endswith("The ramp goes from 1 to 5 %. The step of 1 % is skipped: at 100 requests a day it "
                                   "takes 50.0 days.")  # fmt: skip
    both = FOUR.decide(at(1, exposures=3, hours=100, a_day=20))
    assert both.statistics[TAKEN] == 50
    assert both.reason.count("is skipped") == 3
    assert TAKEN not in FOUR.decide(at(1, exposures=3, a_day=100, errors=happened(8, 100))).statistics


def test_a_policy_that_changed_meanwhile_goes_on_from_the_next_larger_step() -> None:
    changed = policy(10, 30)
    assert TAKEN not in changed.decide(at(5, exposures=10)).statistics
    assert changed.decide(at(5)).statistics[TAKEN] == 30
    assert changed.decide(at(40)).statistics[TAKEN] == 30
    assert TAKEN not in SequentialPolicy().decide(at(5)).statistics


def test_a_recorded_decision_in_the_ramp_is_computed_again_to_the_bit() -> None:
    evidence = at()
    again = from_document(document_of(FOUR)).decide(Evidence.model_validate_json(evidence.model_dump_json()))
    assert again == FOUR.decide(evidence)


def test_without_progress_a_policy_with_a_ramp_decides_as_one_without() -> None:
    for evidence in (look(), look((3.6, 4.4)), look((4.0, 2.0)), look(days=14)):
        assert FOUR.decide(evidence) == SequentialPolicy().decide(evidence)


def test_status_names_the_skipped_steps_with_the_reason_only_while_it_holds() -> None:
    steps = FOUR.ramp or ()
    assert skipped_steps(steps, [1, 5, 20], 1000, 14 * DAY) == ""
    assert skipped_steps(steps, [5, 20], 1000, 14 * DAY) == "The step of 1 % was skipped."
    assert skipped_steps(steps, [20, 0], 60, 14 * DAY) == (
        "The step of 1 % is skipped: at 60 requests a day it takes 83.3 days. "
        "The step of 5 % is skipped: at 60 requests a day it takes 16.7 days."
    )
