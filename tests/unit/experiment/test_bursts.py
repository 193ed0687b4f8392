"""Bursts: what is beyond the experiment's own rate, and that nobody who counted is taken out later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from homeprices.experiment.network_limits import beyond_burst
from homeprices.experiment.policies.base import BurstRule

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
RULE = BurstRule()


def steady(per_hour: int, hours: int) -> dict[str, datetime]:
    return {f"s{place}": BEGIN + timedelta(hours=place / per_hour) for place in range(per_hour * hours)}


def burst(count: int, hours: float, seconds: float = 43) -> dict[str, datetime]:
    return {f"b{n:04}": BEGIN + timedelta(hours=hours, seconds=n * seconds / count) for n in range(count)}


def test_170_voices_in_43_seconds_are_ten() -> None:
    found = beyond_burst({**steady(4, 48), **burst(170, 24.1)}, BEGIN, RULE)
    assert len(found) == 170 - 10 and all(name.startswith("b") for name in found)


def test_a_busy_site_has_no_bursts_from_its_second_minute_on() -> None:
    """A hundred voices a minute are its own rate; only the first minute has nothing to compare with."""
    found = beyond_burst(steady(6000, 2), BEGIN, RULE)
    assert len(found) == 90


def test_the_rate_is_of_the_time_before_so_a_burst_does_not_make_room_for_itself() -> None:
    usual = steady(60, 10)  # one a minute
    assert len(beyond_burst({**usual, **burst(500, 10.001)}, BEGIN, RULE)) == 500 - 20
    assert beyond_burst({**usual, **burst(20, 10.001)}, BEGIN, RULE) == frozenset()


def test_silence_is_no_burst() -> None:
    assert beyond_burst({}, BEGIN, RULE) == frozenset()


@given(st.lists(st.integers(0, 900), max_size=120), st.integers(0, 900))
def test_who_counted_at_one_look_counts_at_every_later_one(seconds: list[int], until: int) -> None:
    rule = BurstRule(voices=3, times=2)
    every = {str(place): BEGIN + timedelta(seconds=at) for place, at in enumerate(seconds)}
    early = {name: at for name, at in every.items() if at < BEGIN + timedelta(seconds=until)}
    assert early.keys() - beyond_burst(early, BEGIN, rule) <= every.keys() - beyond_burst(every, BEGIN, rule)
