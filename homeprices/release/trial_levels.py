"""The levels of the trials of a year: the error rate at which each may promote, as the control record lists them.

A trial spends its level when it begins, however it ends: by the policy, a person, a revert or the circuit breaker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

YEAR = timedelta(days=365)


class TrialLevel(BaseModel):
    """A trial that began, and its level: the probability with which it promotes a candidate that is no better."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    experiment: str
    since: AwareDatetime
    level: float = Field(gt=0, lt=0.5)


LevelRule = Callable[[Sequence[TrialLevel], datetime], float | None]
"""Returns the level of a trial that begins at this time, after the trials of the record; None: the policy sets none."""


def spent(trials: Iterable[TrialLevel], at: datetime) -> list[float]:
    """Return the levels of the trials that began in the year before `at`, each trial once.

    Two lists may name the same trial, for example the control record and the decision log, of which one was restored.
    Trials after `at` count too, because a clock may be slow.
    """
    of_year = {(trial.experiment, trial.since): trial.level for trial in trials if trial.since > at - YEAR}
    return [of_year[trial] for trial in sorted(of_year, key=lambda trial: (trial[1], trial[0]))]


def with_trial(
    trials: Sequence[TrialLevel], experiment: str, at: datetime, level: float | None
) -> tuple[TrialLevel, ...]:
    """Return the trials of the year before `at`, and the one that begins now if it has a level."""
    new = () if level is None else (TrialLevel(experiment=experiment, since=at, level=level),)
    return (*(trial for trial in trials if trial.since > at - YEAR), *new)
