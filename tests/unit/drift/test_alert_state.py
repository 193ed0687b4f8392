from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homeprices.drift import alert_state
from homeprices.drift.alert_state import ERROR, AlertState, Finding, Transition
from homeprices.experiment.policies.base import RetrainingRule

DAY = timedelta(days=1)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def finding(bundle: str = "BO1", tested: bool = True, **drifted: float) -> Finding:
    return Finding(bundle=bundle, tested=tested, drifted=drifted, sentence=f"{', '.join(drifted)} changed")


SURE = finding(total_sqft=1e-9)
UNSURE = finding(total_sqft=0.01)
CALM = finding()
ERRS: Any = {ERROR: 1e-9}
EMPTY = finding(tested=False)


def turns(*findings: Finding, state: AlertState | None = None) -> tuple[list[Transition], AlertState]:
    """The turn after each day's report."""
    state, taken = state or AlertState(), []
    for day, found in enumerate(findings):
        state = alert_state.next_state(state, found, f"run{day}", MONDAY + day * DAY)
        taken.append(state.turn)
    return taken, state


def test_a_drift_beyond_doubt_begins_at_once_and_is_told_once() -> None:
    taken, state = turns(CALM, SURE, SURE, SURE)
    assert taken == ["nothing", "begins", "goes on", "goes on"]
    assert state.told == ""
    assert state.episode is not None
    assert state.episode.began_at == MONDAY + DAY


def test_a_doubtful_one_begins_when_a_second_report_finds_the_same_feature() -> None:
    assert turns(UNSURE, UNSURE)[0] == ["nothing", "begins"]
    assert turns(UNSURE, CALM, UNSURE)[0] == ["nothing", "nothing", "nothing"]
    assert turns(UNSURE, finding(location=0.02))[0] == ["nothing", "nothing"]
    assert turns(UNSURE, finding("BO2", total_sqft=0.01))[0] == ["nothing", "nothing"]


def test_it_ends_when_two_reports_in_a_row_find_nothing() -> None:
    assert turns(SURE, CALM, SURE, CALM, CALM, CALM)[0] == [
        "begins",
        "goes on",
        "goes on",
        "goes on",
        "ends",
        "nothing",
    ]


def test_the_next_one_is_another_drift() -> None:
    taken, state = turns(SURE, CALM, CALM, SURE)
    assert taken == ["begins", "goes on", "ends", "begins"]
    assert state.episode is not None
    assert (state.episode.began_in, state.episode.retraining) == ("run3", None)


def test_a_day_without_traffic_neither_begins_nor_ends_anything() -> None:
    assert turns(EMPTY, SURE, EMPTY, EMPTY, EMPTY, SURE)[0] == ["nothing", "begins", *["goes on"] * 4]
    assert turns(UNSURE, EMPTY, UNSURE)[0] == ["nothing", "nothing", "begins"]


def test_another_production_ends_it_because_it_is_compared_with_its_own_training() -> None:
    taken, state = turns(SURE, finding("BO2", total_sqft=1e-9))
    assert taken == ["begins", "ends"]
    assert state.told == "BO2 has taken the place of BO1, and is compared with its own training."


def test_what_drifts_later_belongs_to_the_same_drift() -> None:
    _, state = turns(SURE, finding(location=0.01))
    assert state.episode is not None
    assert state.episode.features == ("location", "total_sqft")


def test_a_step_that_is_run_again_changes_nothing() -> None:
    _, state = turns(SURE)
    assert alert_state.next_state(state, SURE, "run0", MONDAY + DAY) == state


@pytest.mark.parametrize(
    ("policy", "found", "homes", "wanted"),
    [
        (RetrainingRule(), SURE, 100, True),
        (RetrainingRule(), SURE, 99, False),
        (RetrainingRule(on_inputs=False), SURE, 5000, False),
        (RetrainingRule(), finding(**ERRS), 0, True),
        (RetrainingRule(on_error=False), finding(**ERRS), 5000, False),
        (RetrainingRule(), CALM, 5000, False),
    ],
)
def test_a_new_model_is_asked_for_by_the_policy(
    policy: RetrainingRule, found: Finding, homes: int, wanted: bool
) -> None:
    assert alert_state.should_retrain(policy, turns(found)[1], homes) is wanted


def test_a_new_model_is_asked_for_once_a_drift() -> None:
    policy, (_, state) = RetrainingRule(), turns(SURE)
    state = alert_state.retraining_requested(state, "run0")
    assert not alert_state.should_retrain(policy, state, 5000)
    _, later = turns(SURE, CALM, CALM, state=state.model_copy(update={"run": ""}))
    assert not alert_state.should_retrain(policy, later, 5000)
    assert alert_state.should_retrain(policy, alert_state.next_state(later, SURE, "another", MONDAY + 9 * DAY), 5000)
    assert alert_state.retraining_requested(AlertState(), "run0") == AlertState()


def test_the_state_survives_its_journey_through_the_bucket() -> None:
    _, state = turns(SURE, CALM)
    assert AlertState.model_validate_json(state.model_dump_json()) == state


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ({"status": "insufficient_data", "drift_indicators": {}}, (False, {}, "")),
        (
            {
                "status": "ok",
                "sentence": "The area has changed.",
                "drift_indicators": {
                    "total_sqft": {"significant_drift": True, "p_value": 0.01},
                    "bhk": {"significant_drift": False, "p_value": 0.5},
                },
            },
            (True, {"total_sqft": 0.01}, "The area has changed."),
        ),
        (
            {"status": "insufficient_data", "error": {"drift": True, "p_value": 0.002, "sentence": "It has grown."}},
            (True, {ERROR: 0.002}, "It has grown."),
        ),
    ],
)
def test_a_stored_summary_comes_to_a_finding(
    summary: dict[str, Any], expected: tuple[bool, dict[str, float], str]
) -> None:
    found = alert_state.finding_of(summary, "BO1")
    assert (found.tested, found.drifted, found.sentence) == expected
