"""Drift alert: when it fires and resolves, its notifications, and when a new model is requested.

A daily report raises a false alarm at most once in twenty days. So an alert fires after one report with a very small
p-value, or after two in a row that find the same feature. It resolves after two clear reports in a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from homeprices.experiment.policies.base import RetrainingRule

SURE = 0.001
"""A p-value, adjusted for all features, below which one report is enough."""

CLEAR_REPORTS = 2

ERROR = "error"
"""Name of the error among the drifted features."""

Transition = Literal["begins", "goes on", "ends", "nothing"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Finding(_Value):
    """Result of one report: p-values of what drifted, and the sentence. `tested` is false without data."""

    bundle: str
    tested: bool
    drifted: dict[str, float] = {}
    sentence: str = ""


class DriftAlert(_Value):
    """An ongoing or past drift of a variant. `retraining` is the run that requested a new model, if one did."""

    bundle: str
    began_at: AwareDatetime
    began_in: str
    features: tuple[str, ...]
    sentence: str
    clear: int = 0
    retraining: str | None = None
    ended_at: AwareDatetime | None = None


class AlertState(_Value):
    """A variant's current or last drift, and the result of its last report."""

    episode: DriftAlert | None = None
    last: Finding | None = None
    run: str = ""
    turn: Transition = "nothing"
    told: str = ""

    @property
    def drifting(self) -> bool:
        """Whether a drift is ongoing."""
        return self.episode is not None and self.episode.ended_at is None


def should_retrain(policy: RetrainingRule, state: AlertState, homes: int) -> bool:
    """Return whether to request a new model now, after a report on so many homes."""
    episode = state.episode
    if episode is None or not state.drifting or episode.retraining is not None:
        return False
    if ERROR in episode.features:
        return policy.on_error
    return policy.on_inputs and homes >= policy.least_homes


def finding_of(summary: Mapping[str, Any], bundle: str) -> Finding:
    """Return the finding of a stored summary."""
    indicators = summary.get("drift_indicators", {})
    drifted = {name: float(i.get("p_value", 0.0)) for name, i in indicators.items() if i.get("significant_drift")}
    error = summary.get("error") or {}
    if error.get("drift"):
        drifted[ERROR] = float(error.get("p_value", 0.0))
    sentence = " ".join(
        part for part in (summary.get("sentence", "") if drifted.keys() - {ERROR} else "",
                          error.get("sentence", "") if ERROR in drifted else "") if part
    )  # fmt: skip
    tested = summary.get("status") == "ok" or bool(error.get("drift"))
    return Finding(bundle=bundle, tested=tested, drifted=drifted, sentence=sentence)


def next_state(state: AlertState, finding: Finding, run: str, now: AwareDatetime) -> AlertState:
    """Return the state after the report of `run`; idempotent for the same run."""
    if state.run == run:
        return state
    if not finding.tested:  # a day without traffic neither fires nor resolves an alert
        return state.model_copy(update={"run": run, "turn": "goes on" if state.drifting else "nothing", "told": ""})
    if state.drifting and state.episode is not None:
        return _during(state.episode, finding, run, now)
    if not _begins(state.last, finding):
        return state.model_copy(update={"last": finding, "run": run, "turn": "nothing", "told": ""})
    episode = DriftAlert(
        bundle=finding.bundle,
        began_at=now,
        began_in=run,
        features=tuple(sorted(finding.drifted)),
        sentence=finding.sentence,
    )
    return AlertState(episode=episode, last=finding, run=run, turn="begins", told=finding.sentence)


def retraining_requested(state: AlertState, run: str) -> AlertState:
    """Return the state after `run` has requested a new model because of the ongoing drift."""
    if state.episode is None:
        return state
    return state.model_copy(update={"episode": state.episode.model_copy(update={"retraining": run})})


def _begins(last: Finding | None, finding: Finding) -> bool:
    if any(p_value < SURE for p_value in finding.drifted.values()):
        return True
    again = last is not None and last.bundle == finding.bundle and last.drifted.keys() & finding.drifted.keys()
    return bool(again)


def _during(episode: DriftAlert, finding: Finding, run: str, now: AwareDatetime) -> AlertState:
    told = ""
    if finding.bundle != episode.bundle:  # that alert compared traffic with the training data of another model
        told = f"{finding.bundle} has taken the place of {episode.bundle}, and is compared with its own training."
        episode = episode.model_copy(update={"ended_at": now})
    elif finding.drifted:
        features = tuple(sorted({*episode.features, *finding.drifted}))
        episode = episode.model_copy(update={"clear": 0, "features": features})
    else:
        episode = episode.model_copy(update={"clear": episode.clear + 1})
        if episode.clear >= CLEAR_REPORTS:
            told = f"{CLEAR_REPORTS} reports in a row have found nothing."
            episode = episode.model_copy(update={"ended_at": now})
    turn: Transition = "ends" if episode.ended_at else "goes on"
    return AlertState(episode=episode, last=finding, run=run, turn=turn, told=told)
