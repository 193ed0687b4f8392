"""Limits by network: who of a network counts, in what order, and that nobody who counted is ever taken out again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from homeprices.experiment.network_limits import Arrival, Limited, limit_networks, most_of_a_network

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def arrivals(
    network: str | None, count: int, variant: str = "candidate", *, hours: float = 0.0, each: float = 0.001
) -> list[Arrival]:
    """So many visitors of a network, one after another."""
    at = [BEGIN + timedelta(hours=hours + place * each) for place in range(count)]
    return [Arrival(f"{network}-{variant}-{hours}-{place}", variant, network, when) for place, when in enumerate(at)]  # type: ignore[arg-type]


def crowd(count: int, variant: str = "candidate") -> list[Arrival]:
    """So many visitors, each of a network of their own."""
    return [row for place in range(count) for row in arrivals(f"home{place}", 1, variant)]


def limit(rows: list[Arrival], a_day: int = 10, share: float = 0.02) -> Limited:
    return limit_networks(rows, a_day=a_day, share=share)


def kept_of(found: Limited, network: str) -> int:
    return sum(name.startswith(f"{network}-") for name in found.kept)


def test_170_voices_of_one_address_in_a_minute_are_ten_and_then_two_percent() -> None:
    honest = crowd(100)
    found = limit([*honest, *arrivals("attacker", 170, each=43 / 3600 / 170)])
    assert (kept_of(found, "attacker"), found.beyond_day, found.beyond_share) == (2, 160, 8)
    assert len(found.kept) == 102, "nobody else is cut"


def test_a_day_ends_at_midnight_utc() -> None:
    rows = [*arrivals("a", 15), *arrivals("a", 15, hours=23.99, each=1e-5), *arrivals("a", 15, hours=24)]
    found = limit(rows, share=1)
    assert (len(found.kept), found.beyond_day) == (20, 25)


def test_the_share_is_of_each_variant_and_of_those_who_count() -> None:
    rows = [*crowd(400, "production"), *crowd(100), *arrivals("a", 50, "production"), *arrivals("a", 50)]
    found = limit(rows, a_day=1000)
    assert (kept_of(found, "a-production"), kept_of(found, "a-candidate")) == (8, 2)


def test_many_networks_make_no_room_for_each_other() -> None:
    """Of 98 honest voices and ten networks of a hundred, two percent are two each and not twenty."""
    rows = [*crowd(98), *(row for place in range(10) for row in arrivals(f"bad{place}", 100))]
    assert len(limit(rows, a_day=1000).kept) == 98 + 10 * 2


def test_a_network_may_always_have_one_visitor_and_an_unknown_one_is_not_limited() -> None:
    found = limit([*arrivals("a", 5), *arrivals(None, 30)])
    assert (kept_of(found, "a"), kept_of(found, "None")) == (1, 30)


def test_nobody_is_nobody() -> None:
    assert limit([]) == Limited(frozenset(), 0, 0)
    assert most_of_a_network([], 0.02) == 1


rows = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(["production", "candidate"]), st.integers(0, 5000)), max_size=80
)


@given(rows, st.integers(1, 8), st.sampled_from([0.02, 0.1, 0.3, 1.0]), st.integers(0, 5000))
def test_who_counts_at_one_look_counts_at_every_later_one(
    drawn: list[tuple[int, str, int]], a_day: int, share: float, until: int
) -> None:
    """The sequential bounds rest on this: voices are only ever added."""
    every = [
        Arrival(str(place), variant, str(network) if network else None, BEGIN + timedelta(minutes=minute))  # type: ignore[arg-type]
        for place, (network, variant, minute) in enumerate(drawn)
    ]
    early = [row for row in every if row.at < BEGIN + timedelta(minutes=until)]
    assert limit(early, a_day, share).kept <= limit(every, a_day, share).kept


@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(drawn: list[tuple[int, str, int]], shuffle: object) -> None:
    every = [
        Arrival(str(place), variant, str(network), BEGIN + timedelta(minutes=minute))  # type: ignore[arg-type]
        for place, (network, variant, minute) in enumerate(drawn)
    ]
    first = limit(every, 3, 0.2)
    shuffle.shuffle(every)  # type: ignore[attr-defined]
    assert limit(every, 3, 0.2) == first
