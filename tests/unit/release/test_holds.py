"""A person's hold in the bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import Conflict, HomePricesError, InvalidInput
from homeprices.registry import bundle_publisher
from homeprices.release import holds
from tests.support.factories import Clock


@pytest.fixture
def tried(bucket: MemoryBucket, drafts: list[Path]) -> MemoryBucket:
    """A bucket whose candidate is on trial."""
    for run, kind in (("first", "BO"), ("second", "CO")):
        bundle_publisher.stage(bucket, run, drafts[0 if kind == "BO" else 1])
        bundle_publisher.publish(bucket, run, kind)  # type: ignore[arg-type]
    return bucket


def test_a_hold_is_of_the_candidate_and_of_production_where_there_is_none(tried: MemoryBucket, clock: Clock) -> None:
    assert holds.set_hold(tried, None, "person:ann", "looking", clock=clock).version == "CO1"
    assert holds.lift(tried) is not None
    bundle_publisher.archive(tried, "CO1")
    assert holds.set_hold(tried, None, "person:ann", "looking", clock=clock).version == "BO1"


def test_the_first_hold_of_a_bundle_stands_until_it_is_lifted(tried: MemoryBucket, clock: Clock) -> None:
    first = holds.set_hold(tried, "CO1", "person:ann", "looking", clock=clock)
    clock.forward(minutes=1)
    assert holds.set_hold(tried, "CO1", "person:bob", "me too", clock=clock) == first
    assert "CO1 is held by person:ann since" in str(holds.hold_on(tried, "CO1"))
    assert (holds.hold_on(tried, "BO1"), holds.lift(tried), holds.read(tried), holds.lift(tried)) == (
        None,
        first,
        None,
        None,
    )


def test_there_must_be_something_to_hold(bucket: MemoryBucket) -> None:
    with pytest.raises(Conflict, match="neither a candidate nor a production"):
        holds.set_hold(bucket, None, "person:ann", "looking")
    with pytest.raises(InvalidInput, match="is not a version name"):
        holds.set_hold(bucket, "CO", "person:ann", "looking")


def test_a_hold_of_which_one_field_is_wrong_is_named_with_its_fault(bucket: MemoryBucket) -> None:
    bucket.put(holds.KEY, b'{"version": "BO1", "actor": "a", "reason": "r", "at": "2026-01-05T06:00:00Z", "more": 1}')
    with pytest.raises(HomePricesError, match="is no hold: Extra inputs"):
        holds.read(bucket)


def test_a_hold_that_cannot_be_read_keeps_everything_from_going_on(bucket: MemoryBucket) -> None:
    bucket.put(holds.KEY, b"{}")
    with pytest.raises(HomePricesError, match=r"control/hold.json is no hold"):
        holds.hold_on(bucket, "CO1")
