"""Bursts: voices that come in a minute far beyond the rate of the experiment until then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

from homeprices.experiment.policies.base import BurstRule

MINUTE = timedelta(minutes=1)


def beyond_burst(spoken: Mapping[str, datetime], began: datetime, rule: BurstRule) -> frozenset[str]:
    """Return the visitors beyond the limit of their minute, whoever they are; `spoken` is when each spoke first.

    A minute's limit comes from the minutes before it alone, and its first voices count. So no later voice takes out one
    that has counted, and a site that becomes busy is soon back to its own rate.
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
