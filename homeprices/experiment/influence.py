"""Influence of single networks: the voices that remain without those of one network.

Only the networks whose removal moves a result the most, in either direction, are recorded. If a decision holds without
each of them, it holds without any network.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from homeprices.experiment.evidence import SampleMoments, WithoutNetwork, sample_moments

MOST = 10
"""Networks recorded for each result and direction; limited, because every look records them."""


@dataclass(frozen=True)
class Voice:
    """A visitor's mean rating of a variant (0 is production) in a stratum, in stars, with the visitor's network."""

    network: str | None
    stratum: int
    variant: int
    stars: float


@dataclass(frozen=True)
class ToldDifference:
    """A visitor's price error of the candidate less that of production, with the visitor's network."""

    network: str | None
    difference: float


def without_networks(
    voices: Sequence[Voice], prices: Sequence[ToldDifference], strata: int
) -> tuple[WithoutNetwork, ...]:
    """Return the remaining voices without each of the most influential networks, in alphabetical order of networks.

    Voices of an unknown network are never removed.
    """
    cells: dict[tuple[int, int], list[Voice]] = defaultdict(list)
    for voice in voices:
        cells[voice.stratum, voice.variant].append(voice)
    counts: dict[str, int] = defaultdict(int)
    for network in (*(voice.network for voice in voices), *(row.network for row in prices)):
        if network is not None:
            counts[network] += 1
    return tuple(
        WithoutNetwork(
            network=network,
            voices=counts[network],
            ratings=tuple(
                (_remaining(cells[stratum, 0], network), _remaining(cells[stratum, 1], network))
                for stratum in range(strata)
            ),
            price_difference=sample_moments(row.difference for row in prices if row.network != network),
        )
        for network in sorted(most_influential(cells, prices))
    )


def most_influential(cells: Mapping[tuple[int, int], Sequence[Voice]], prices: Sequence[ToldDifference]) -> set[str]:
    """Return the networks whose removal moves the difference of ratings up or down the most, or prices down."""
    shifts = rating_shifts(cells)
    ranked = sorted(shifts, key=lambda network: (shifts[network], network))
    told = price_shifts(prices)
    by_price = sorted(told, key=lambda network: (told[network], network))
    return {*ranked[:MOST], *ranked[-MOST:], *by_price[:MOST]}


def rating_shifts(cells: Mapping[tuple[int, int], Sequence[Voice]]) -> dict[str, float]:
    """Return by how many stars the difference, candidate less production, moves without each network.

    Infinite where a network is all of a variant in an epoch, because nothing remains to compare there. Strata are
    weighted as in `treatment_effect`.
    """
    weights = _weights(cells)
    shifts: dict[str, float] = defaultdict(float)
    for (stratum, variant), said in cells.items():
        moved = _mean_shifts([(voice.network, voice.stars) for voice in said])
        for network, shift in moved.items():
            if stratum in weights:
                shifts[network] += (2 * variant - 1) * weights[stratum] * shift
    return shifts


def price_shifts(prices: Sequence[ToldDifference]) -> dict[str, float]:
    """Return by how much the mean difference of price errors moves without each network."""
    return _mean_shifts([(row.network, row.difference) for row in prices])


def _mean_shifts(values: Sequence[tuple[str | None, float]]) -> dict[str, float]:
    """Return by how much the mean moves without each network; minus infinity if nothing remains."""
    groups: dict[str, list[float]] = defaultdict(list)
    for network, value in values:
        if network is not None:
            groups[network].append(value)
    n = len(values)
    mean = math.fsum(value for _, value in values) / n if n else 0.0
    return {
        network: math.fsum(mean - value for value in said) / (n - len(said)) if len(said) < n else -math.inf
        for network, said in groups.items()
    }


def _weights(cells: Mapping[tuple[int, int], Sequence[Voice]]) -> dict[int, float]:
    """Return the weight of each stratum that both variants rated in."""
    sizes = {stratum: [len(cells.get((stratum, variant), ())) for variant in (0, 1)] for stratum, _ in cells}
    weights = {stratum: a * b / (a + b) for stratum, (a, b) in sizes.items() if a and b}
    whole = math.fsum(weights.values())
    return {stratum: weight / whole for stratum, weight in weights.items()}


def _remaining(said: Iterable[Voice], network: str) -> SampleMoments:
    return sample_moments(voice.stars for voice in said if voice.network != network)
