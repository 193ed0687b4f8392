"""The error of a year: how much of it each trial may spend on promoting a candidate that is no better.

Each trial of a policy keeps its error rate at every look, but the chance that *any* trial of a year errs grows with
their number. This is alpha spending (Lan and DeMets, Biometrika 70, 1983) over trials, in place of looks; over an
endless sequence of tests it is alpha-spending of Foster and Stine (JRSS B 70, 2008). A trial gets a level before it
begins, and the levels of a year add up to at most `error_rate`.

What is bounded: a year is 365 days. Fix any year in advance. The probability that any trial which *begins* in it ends
in the promotion of a candidate that is no better is at most `error_rate`, whatever the other candidates are, and
however the trials depend on each other. Proof: the level of a trial depends only on trials before it. Given those, a
candidate that is no better is promoted with probability at most the level, because the confidence sequence is valid at
every look. So the expected number of such promotions is at most the expected sum of the levels, and that sum is at most
`error_rate`: a level is at most half of what the 365 days before the trial have left, and these contain the part of the
fixed year that has passed. (Half, because a trial that restarts against another production gets half of its level, and
then a quarter: all restarts together spend no more than the trial did.) Markov's inequality turns the expected number
into the probability.

No level is given back after a promotion. That would keep the bound too (online fallback: Tian and Ramdas, arXiv
1910.04900), but `documentations/decisions/0017-error-of-a-year.md` has its gain, which is small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from homeprices.experiment.policies.limits import Document

LEAST_LEVEL = 1e-9
"""The level once all is spent: after a smaller `error_rate`, or hundreds of trials. Nothing is promoted at it."""


class YearRule(Document):
    """The error rate of all trials that begin within 365 days, and the number of trials that are expected in them.

    A trial with a level promotes from `rated_visitors` in the smaller variant on. With fewer, the asymptotic bounds err
    more often than a small level says: the level is that of a rare event, and the variance of few ratings is a guess.
    """

    error_rate: float = Field(default=0.10, gt=0, lt=0.5)
    trials: int = Field(default=26, ge=1, le=1000)
    rated_visitors: int = Field(default=100, ge=2)

    def level(self, spent: Sequence[float]) -> float:
        """Return the level of the next trial, after trials of the last 365 days with the levels `spent`.

        It is an equal share of what is left: divided by the trials that are still expected, or by half of `trials` when
        fewer are. So a year with more trials than expected has smaller levels and never runs out.
        """
        left = self.error_rate - math.fsum(spent)
        return max(left / max(self.trials - len(spent), self.trials / 2, 2), LEAST_LEVEL)


def promotion_error(policy: Mapping[str, Any], level: float | None) -> str | None:
    """Return the error rate of a promotion under a policy's document as a sentence; None of one without error rates."""
    if (promote := (policy.get("error_rates") or {}).get("promote")) is None:
        return None
    text = "a candidate that is no better is promoted in at most {:.3g} % of such trials"
    if level is None:
        return f"{text.format(100 * promote)}; this trial spends none of the error of a year"
    if (year := policy.get("year")) is None:
        return text.format(100 * level)
    whole = f"and in at most {100 * year['error_rate']:g} % of years"
    return f"{text.format(100 * level)}, {whole}, from {year['rated_visitors']} rated visitors in each variant on"
