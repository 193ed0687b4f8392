"""Limits per network and per minute: which visitors count, so that many browsers of one attacker cannot decide.

The choice depends on times, networks and variants, never on ratings or prices, so it biases no comparison. The first
visitors in time count. A visitor who counts at one look counts at every later one. So bounds that are valid at every
look remain valid for the visitors who count.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from homeprices.experiment.policies.base import BurstRule
from homeprices.names import Variant

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Arrival:
    """A visitor with the time of the first exposure or voice. An unknown `network` is None, and has no limit."""

    visitor: str
    variant: Variant
    network: str | None
    at: datetime


@dataclass(frozen=True)
class Limited:
    """Visitors who count, and the numbers of those beyond the daily limit and beyond the share of a variant."""

    kept: frozenset[str]
    beyond_day: int
    beyond_share: int


def limit_networks(arrivals: Iterable[Arrival], *, a_day: int, share: float) -> Limited:
    """Return the visitors who count: `a_day` of a network per UTC day, and no network above `share` of a variant.

    The first in time count. The share is of the visitors who count, so that excluded ones make no room for others. A
    network may always have one visitor in a variant.
    """
    in_time = sorted(arrivals, key=lambda row: (row.at, row.visitor))
    in_day = _first_of_each(in_time, lambda row: (row.network, row.at.astimezone(UTC).date()), lambda _: a_day)
    most = {variant: most_of_a_network(of, share) for variant, of in _by_variant(in_day).items()}
    in_share = _first_of_each(in_day, lambda row: (row.network, row.variant), lambda row: most[row.variant])
    return Limited(
        kept=frozenset(row.visitor for row in in_share),
        beyond_day=len(in_time) - len(in_day),
        beyond_share=len(in_day) - len(in_share),
    )


def most_of_a_network(networks: Sequence[str | None], share: float) -> int:
    """Return how many visitors of a network may count in a variant whose visitors come from these networks.

    This is the largest number that is at most `share` of all who then count. It never falls when visitors are added.
    """
    unknown = sum(network is None for network in networks)
    sizes = Counter(network for network in networks if network is not None).values()
    total = unknown + sum(sizes)
    while True:
        most = max(1, math.floor(share * total))
        counted = unknown + sum(min(size, most) for size in sizes)
        if counted == total:
            return most
        total = counted


def _by_variant(arrivals: Iterable[Arrival]) -> dict[Variant, list[str | None]]:
    """Return the networks of the visitors of each variant."""
    found: dict[Variant, list[str | None]] = defaultdict(list)
    for row in arrivals:
        found[row.variant].append(row.network)
    return found


def _first_of_each(
    arrivals: Iterable[Arrival], group: Callable[[Arrival], Hashable], most: Callable[[Arrival], int]
) -> list[Arrival]:
    """Return the first `most` arrivals of each group, in order, and all of an unknown network."""
    seen: Counter[Hashable] = Counter()
    kept = []
    for row in arrivals:
        seen[group(row)] += row.network is not None
        if row.network is None or seen[group(row)] <= most(row):
            kept.append(row)
    return kept


def beyond_burst(spoken: Mapping[str, datetime], began: datetime, rule: BurstRule) -> frozenset[str]:
    """Return the visitors beyond the limit of their minute; `spoken` is the time of each visitor's first voice.

    The limit of a minute depends on earlier minutes only, and the first voices of a minute count. So a later voice
    never removes one that has counted, and the limit soon follows a site that becomes busier.
    """
    minutes: dict[int, list[tuple[datetime, str]]] = defaultdict(list)
    for visitor, at in spoken.items():
        minutes[(at - began) // MINUTE].append((at, visitor))
    beyond: set[str] = set()
    before = 0
    for minute, voices in sorted(minutes.items()):
        limit = max(rule.voices, int(rule.times * before / max(minute, 1)))
        beyond.update(visitor for _, visitor in sorted(voices)[limit:])
        before += len(voices)
    return frozenset(beyond)
