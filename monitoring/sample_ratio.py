"""Whether visitors are split as planned, judged at every look without raising the false alarm rate."""

from __future__ import annotations

from math import exp, lgamma, log


def p_value(candidate: int, total: int, share: float) -> float:
    """Always-valid p-value of `candidate` of `total` visitors when each is the candidate's with probability `share`.

    1 over the Bayes factor of a uniform alternative against the plan, which is a martingale under the plan: it falls
    below a in at most a share a of correct experiments, however often one looks (Lindon and Malek 2022, "Anytime-Valid
    Inference for Multinomial Count Data", equation 8, two outcomes, all concentrations 1). 1 without visitors or
    when the plan leaves no chance (a share of 0 or 1).
    """
    if not 0 <= candidate <= total:
        raise ValueError(f"{candidate} of {total} visitors is impossible")
    if total == 0 or not 0 < share < 1:
        return 1.0
    production = total - candidate
    log_alternative = lgamma(candidate + 1) + lgamma(production + 1) - lgamma(total + 2)
    log_plan = candidate * log(share) + production * log(1 - share)
    return min(1.0, exp(min(0.0, log_plan - log_alternative)))
