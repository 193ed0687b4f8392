"""Test for sample ratio mismatch (SRM): are visitors split between the variants as planned?

Standard library only, so that the exporter, whose image has no SciPy, runs the same test as the decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log
from typing import Any

DEFAULT_CONCENTRATION = 300.0
"""Weight of the prior, in visitors."""
DEFAULT_ERROR_RATE = 0.01
"""Of the test over all looks of an experiment."""


@dataclass(frozen=True)
class SplitTest:
    """The SRM test at one look: the visitors by variant, those planned for the candidate, and the evidence."""

    assigned: tuple[int, int]
    planned: float
    log_evidence: float
    error_rate: float

    @property
    def p_value(self) -> float:
        """The always-valid p-value."""
        return p_value(self.log_evidence)

    @property
    def mismatch(self) -> bool:
        """Whether chance does not explain the split. It is true of a sound split with probability `error_rate`."""
        return self.log_evidence >= -log(self.error_rate)

    def __str__(self) -> str:
        verdict = "a mismatch" if self.mismatch else "as planned"
        return (
            f"{verdict}, p = {self.p_value:.4g} (a mismatch from {self.error_rate:g} down): {self.assigned[1]} of "
            f"{sum(self.assigned)} visitors are the candidate's, and {self.planned:.0f} were planned"
        )


def judge_split(epochs: Iterable[tuple[float, Sequence[int]]], *, concentration: float, error_rate: float) -> SplitTest:
    """Return the test of all epochs, each as (candidate's share in percent, visitors by variant)."""
    epochs = list(epochs)
    return SplitTest(
        assigned=(sum(assigned[0] for _, assigned in epochs), sum(assigned[1] for _, assigned in epochs)),
        planned=sum(sum(assigned) * percent / 100 for percent, assigned in epochs),
        log_evidence=log_evidence_of_epochs(epochs, concentration=concentration),
        error_rate=error_rate,
    )


def recorded_split(evidence: Mapping[str, Any], policy: Mapping[str, Any] | None) -> SplitTest | None:
    """Return the test of recorded evidence under its policy's document; None of evidence without visitors by epoch.

    A policy that does not test the split, and so does not act on it, has the default concentration and error rate.
    """
    if (strata := evidence.get("strata")) is None:
        return None
    test, rates = ((policy or {}).get(part) or {} for part in ("sample_ratio", "error_rates"))
    return judge_split(
        ((stratum["share"], stratum["assigned"]) for stratum in strata),
        concentration=float(test.get("concentration", DEFAULT_CONCENTRATION)),
        error_rate=float(rates.get("sample_ratio", DEFAULT_ERROR_RATE)),
    )


def log_evidence(counts: Sequence[int], shares: Sequence[float], *, concentration: float) -> float:
    """Return the logarithm of the evidence against a split by `shares`.

    Above log(1/alpha) it is a mismatch at error rate alpha, however often it is tested. The prior is a Dirichlet
    around the shares with the weight of `concentration` visitors. Lindon and Malek, Anytime-valid inference for
    multinomial count data, arXiv 2011.03567: the Bayes factor of their section 2. Evidence of independent strata adds
    up.
    """
    priors = [concentration * share for share in shares]
    log_beta = log_plan = 0.0
    # Not sum(): from Python 3.12 on it rounds floats otherwise, and a replay would differ in the last digit.
    for prior, count, share in zip(priors, counts, shares, strict=True):
        log_beta += log_gamma(prior + count) - log_gamma(prior)
        log_plan += count * log(share)
    return log_beta - (log_gamma(concentration + sum(counts)) - log_gamma(concentration)) - log_plan


def log_evidence_of_epochs(epochs: Iterable[tuple[float, Sequence[int]]], *, concentration: float) -> float:
    """Return the evidence of all epochs, each as (candidate's share in percent, visitors by variant).

    An epoch in which one variant gets no visitors (a share of 0 or 100) is no evidence.
    """
    total = 0.0
    for percent, assigned in epochs:
        share = percent / 100
        if 0 < share < 1:
            total += log_evidence(assigned, (1 - share, share), concentration=concentration)
    return total


def p_value(evidence: float) -> float:
    """Return the always-valid p-value of a logarithm of evidence: 1 over the Bayes factor, at most 1."""
    return exp(min(0.0, -evidence))


# Stirling's series for 13 <= x < 1000, and the quotient of polynomials for 2 <= x < 3.
_SERIES = (
    8.11614167470508450300e-4, -5.95061904284301438324e-4, 7.93650340457716943945e-4,
    -2.77777777730099687205e-3, 8.33333333333331927722e-2,
)  # fmt: skip
_ABOVE = (
    -1.37825152569120859100e3, -3.88016315134637840924e4, -3.31612992738871184744e5,
    -1.16237097492762307383e6, -1.72173700820839662146e6, -8.53555664245765465627e5,
)  # fmt: skip
_BELOW = (
    1.0, -3.51815701436523470549e2, -1.70642106651881159223e4, -2.20528590553854454839e5,
    -1.13933444367982507207e6, -2.53252307177582951285e6, -2.01889141433532773231e6,
)  # fmt: skip
_LOG_ROOT_TWO_PI = 0.91893853320467274178


def log_gamma(x: float) -> float:
    """Return the logarithm of the gamma function of a positive number, as SciPy's `gammaln` has it to the bit.

    `math.lgamma` differs in the last digits, and recorded decisions are replayed to the bit. The algorithm is `lgam` of
    Moshier's Cephes library, which SciPy uses (https://www.netlib.org/cephes/, gamma.c).
    """
    if x <= 0:
        return inf
    if x < 13:
        factor, shift, u = 1.0, 0.0, x
        while u >= 3:
            shift -= 1
            u = x + shift
            factor *= u
        while u < 2:
            factor /= u
            shift += 1
            u = x + shift
        if u == 2:
            return log(factor)
        x += shift - 2
        return log(factor) + x * _polynomial(x, _ABOVE) / _polynomial(x, _BELOW)
    result = (x - 0.5) * log(x) - x + _LOG_ROOT_TWO_PI
    if x > 1e8:
        return result
    p = 1 / (x * x)
    if x >= 1000:
        series = (7.9365079365079365079365e-4 * p - 2.7777777777777777777778e-3) * p + 0.0833333333333333333333
        return result + series / x
    return result + _polynomial(p, _SERIES) / x


def _polynomial(x: float, coefficients: Sequence[float]) -> float:
    value = coefficients[0]
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value
