"""Robustness of a result by voices: whether it holds without any single network, and without the most extreme voices.

The checks can only delay a result that holds on all voices, never cause one. So they do not raise the error rate of a
rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from homeprices.experiment.evidence import Evidence, SampleMoments, Stratum

RatingBound = Callable[[Evidence], float | None]
"""A bound of a metric on a part of the evidence; None while there is too little of it."""
PriceBound = Callable[[SampleMoments], float | None]


@dataclass(frozen=True)
class Reduced:
    """A bound on a part of the voices, None if too little remains; `without` names the voices that are left out."""

    without: str
    bound: float | None


@dataclass(frozen=True)
class ReducedBounds:
    """A bound without each single network, and without the most extreme voices."""

    networks: tuple[Reduced, ...]
    trimmed: Reduced | None

    def statistics(self, name: str, weakest: Callable[[Sequence[float]], float]) -> dict[str, float]:
        """Return the weakest bound without a network, and the trimmed one; without those of too few voices."""
        found = {}
        networks = [reduced.bound for reduced in self.networks if reduced.bound is not None]
        if networks:
            found[f"{name}_without_network"] = weakest(networks)
        if self.trimmed is not None and self.trimmed.bound is not None:
            found[f"{name}_trimmed"] = self.trimmed.bound
        return found


@dataclass(frozen=True)
class Check:
    """A result, which holds if `statistic` is above (or `below`) the `limit`, and its bounds on parts of the voices."""

    result: str
    statistic: str
    bounds: ReducedBounds
    limit: float
    below: bool = False

    def holds(self, bound: float | None) -> bool:
        """Return whether a bound supports the result; None, for too few voices, does not."""
        return bound is not None and (bound < self.limit if self.below else bound > self.limit)

    def doubt(self) -> str | None:
        """Return a phrase for the first voices without which the result does not hold; None if there are none."""
        bounds = self.bounds
        parts = (*bounds.networks, *([bounds.trimmed] if bounds.trimmed else ()))
        return next((part.without for part in parts if not self.holds(part.bound)), None)


def doubtful_results(checks: Sequence[Check], statistics: dict[str, float]) -> dict[str, str]:
    """Return that phrase for each result that is not robust; add all bounds to `statistics`."""
    doubts = {}
    for check in checks:
        doubtful = check.doubt() if check.holds(statistics.get(check.statistic)) else None
        statistics |= check.bounds.statistics(check.statistic, max if check.below else min)
        if doubtful is not None:
            doubts[check.result] = doubtful
    return doubts


def reduced_rating_bounds(evidence: Evidence, bound: RatingBound) -> ReducedBounds:
    """Return a bound of the primary metric on the parts of the ratings that the evidence holds."""
    networks = []
    for left in evidence.without:
        pairs = zip(evidence.strata, left.ratings, strict=True)
        strata = tuple(stratum.model_copy(update={"ratings": ratings}) for stratum, ratings in pairs)
        networks.append(Reduced(_network(left.network, left.voices), bound(_with(evidence, strata))))
    trimmed = None
    if evidence.strata and all(stratum.trimmed is not None for stratum in evidence.strata):
        cut = tuple(stratum.model_copy(update={"ratings": stratum.trimmed}) for stratum in evidence.strata)
        trimmed = Reduced(FEW, bound(_with(evidence, cut)))
    return ReducedBounds(tuple(networks), trimmed)


def reduced_price_bounds(evidence: Evidence, bound: PriceBound) -> ReducedBounds:
    """Return a bound of the difference of price errors on the parts of the prices that the evidence holds."""
    networks = tuple(
        Reduced(_network(left.network, left.voices), bound(left.price_difference)) for left in evidence.without
    )
    told = evidence.paired.trimmed
    return ReducedBounds(networks, None if told is None else Reduced(FEW, bound(told)))


FEW = "few extreme voices"


def _network(name: str, voices: int) -> str:
    return f"one network ({name}, {voices} voice{'s' if voices != 1 else ''})"


def _with(evidence: Evidence, strata: tuple[Stratum, ...]) -> Evidence:
    return evidence.model_copy(update={"strata": strata})
