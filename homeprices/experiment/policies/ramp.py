"""The ramp: the candidate's share of the visitors grows in steps, before the trial with the last share.

Each step wants exposures and time, and that no check finds the candidate harmful. A step that would take longer than
the trial has left is skipped, because nothing can be learned in it. Harm ends the trial in any step, by the rules of
the policy. Nothing is promoted in the ramp, so the ramp can only delay a promotion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from homeprices.experiment.policies.base import Decision, in_its_places
from homeprices.experiment.policies.limits import Document
from homeprices.names import Phase

if TYPE_CHECKING:
    from homeprices.experiment.evidence import Evidence, RampProgress

HarmCheck = Literal["errors", "slow", "price_errors", "ratings"]
TAKEN = "ramp_share"
"""The statistic of a decision that takes the next step: its share, in percent."""
MOST_STEPS = 10


class RampStep(Document):
    """A share of the visitors, in percent, and what the step wants before the next one.

    `least_exposures` are the candidate's in this step, `least_duration` is its time. A check that finds harm at
    `error_rate` holds the step for as long as it does. That is the rate of one look, because a hold ends nothing and
    the next look may lift it. Harm at the rates of the policy ends the trial.
    """

    share: float = Field(gt=0, le=50)
    least_exposures: int = Field(default=50, ge=1)
    least_duration: timedelta = Field(default=timedelta(days=1), ge=timedelta(0), le=timedelta(days=365))
    checks: tuple[HarmCheck, ...] = get_args(HarmCheck)
    error_rate: float = Field(default=0.1, gt=0, lt=0.5)

    @property
    def quantile(self) -> float:
        """The distance of a check's bound from the mean, in standard errors."""
        return NormalDist().inv_cdf(1 - self.error_rate)

    def needs(self, a_day: float, exposures: int = 0, elapsed: timedelta = timedelta(0)) -> timedelta:
        """Return how long the step still takes at `a_day` requests of all visitors, with what it has so far."""
        days, missing = 0.0, self.least_exposures - exposures
        if missing > 0:
            days = missing / (a_day * self.share / 100) if a_day > 0 else timedelta.max.days
        return max(timedelta(days=min(days, timedelta.max.days)), self.least_duration - elapsed)


def _as_step(value: Any) -> Any:
    return {"share": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


def _ascending(steps: tuple[RampStep, ...]) -> tuple[RampStep, ...]:
    if not steps or any(one.share >= two.share for one, two in pairwise(steps)):
        raise ValueError("must be shares in percent, each larger than the one before, for example [5, 20]")
    return steps


Ramp = Annotated[
    tuple[Annotated[RampStep, BeforeValidator(_as_step)], ...], AfterValidator(_ascending), Field(max_length=MOST_STEPS)
]
"""The steps. A number is a step with this share and the usual minimums. The last share is that of the trial."""


@dataclass(frozen=True)
class Step:
    """The share of the visitors that is next, its phase, and which steps were skipped, as sentences."""

    share: float
    phase: Phase
    skipped: str = ""


def first_step(steps: Sequence[RampStep], a_day: float, left: timedelta) -> Step:
    """Return the first of these steps for which there is time at `a_day` requests, or the last one."""
    late = [step for step in steps[:-1] if step.needs(a_day) > left]
    chosen = next(step for step in steps if step not in late)
    skipped = "".join(f" {_skipped(step, a_day)}." for step in late if step.share < chosen.share)
    return Step(chosen.share, "trial" if chosen == steps[-1] else "ramp", skipped)


def with_ramp(
    decision: Decision,
    evidence: Evidence,
    steps: Ramp | None,
    longest: timedelta,
    harms: Callable[[RampStep], Sequence[str]],
) -> Decision:
    """Return the decision of a look: in the ramp nothing is promoted, and the next step is taken or not.

    `harms` returns the checks of a step that find harm. The statistic
    `TAKEN` has the share of the step that is taken.
    """
    decision = in_its_places(decision, evidence, longest)
    progress = evidence.ramp
    if progress is None or not steps or decision.outcome not in ("promote", "continue"):
        return decision
    taken, sentence = _next(steps, progress, evidence, longest, harms)
    waits = " Nothing is promoted in the ramp." if decision.outcome == "promote" else ""
    statistics = decision.statistics if taken is None else {**decision.statistics, TAKEN: taken.share}
    reason = f"{decision.reason}{waits} {sentence}"
    return decision.model_copy(update={"outcome": "continue", "reason": reason, "statistics": statistics})


def phase_of(share: float, steps: Ramp | None) -> Phase:
    """Return the phase of an experiment with this share."""
    return "ramp" if steps and share < steps[-1].share else "trial"


def progress_sentence(steps: Sequence[RampStep], progress: RampProgress, now: datetime) -> str:
    """Return which step it is, and how much of its exposures and time there is."""
    place = _place(steps, progress.share)
    step, hours = steps[place], _elapsed(progress, now) / timedelta(hours=1)
    return (
        f"step {place + 1} of {len(steps)}: {progress.share:g} % of the visitors, {progress.exposures} of "
        f"{step.least_exposures} exposures, {hours:.1f} of {step.least_duration / timedelta(hours=1):g} h"
    )


def skipped_steps(steps: Ramp, shares: Sequence[float], a_day: float, longest: timedelta) -> str:
    """Return which steps the experiment did not have; empty without one. The reason is given if it still holds.

    `shares` are those of the experiment's epochs, and `a_day` the requests of a day.
    """
    missed = [step for step in steps if step.share < max(shares) and step.share not in shares]
    return " ".join(
        f"{_skipped(step, a_day)}." if step.needs(a_day) > longest else f"The step of {step.share:g} % was skipped."
        for step in missed
    )


def _next(
    steps: Ramp,
    progress: RampProgress,
    evidence: Evidence,
    longest: timedelta,
    harms: Callable[[RampStep], Sequence[str]],
) -> tuple[Step | None, str]:
    """Return the step that is taken, or None, and a sentence."""
    place, left = _place(steps, progress.share), longest - evidence.age
    step, elapsed = steps[place], _elapsed(progress, evidence.now)
    if found := harms(step):
        names = ", ".join(name.replace("_", " ") for name in found)
        return None, f"The ramp stays at {progress.share:g} %, because it may do harm ({names})."
    needs = step.needs(progress.a_day, progress.exposures, elapsed)
    if timedelta(0) < needs <= left:
        return None, f"The ramp stays at {progress.share:g} % ({progress_sentence(steps, progress, evidence.now)})."
    taken = first_step(steps[place + 1 :] or steps[-1:], progress.a_day, left)
    early = f" {_skipped(step, progress.a_day)}." if needs > left else ""
    return taken, f"The ramp goes from {progress.share:g} to {taken.share:g} %.{early}{taken.skipped}"


def _skipped(step: RampStep, a_day: float) -> str:
    pace = f"at {a_day:,.0f} requests a day it takes {step.needs(a_day) / timedelta(days=1):,.1f} days"
    return f"The step of {step.share:g} % is skipped: {pace if a_day else 'no visitor came in the last days'}"


def _place(steps: Sequence[RampStep], share: float) -> int:
    """Return the index of the step; of the next larger one after a change of the policy."""
    return next((place for place, step in enumerate(steps) if step.share >= share), len(steps) - 1)


def _elapsed(progress: RampProgress, now: datetime) -> timedelta:
    """Return the time since the step began; never negative, although clocks differ between machines."""
    return max(now.astimezone(UTC) - progress.since.astimezone(UTC), timedelta(0))
