"""The queue of candidates in the bucket: the slot, who waits, and what is left when a process dies or is overtaken."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from homeprices.adapters.object_store import Bucket, MemoryBucket
from homeprices.errors import Conflict, HomePricesError, NotFound
from homeprices.registry import bundle_publisher, bundle_reader
from homeprices.release import candidate_queue, control_record, holds, promotion, training_runs
from tests.contract.release import (  # noqa: F401
    assert_consistent,
    drafts,
    empty,
    in_production,
    publish,
    survive_every_kill,
    wait_in_queue,
)
from tests.support.faulty_bucket import DyingBucket, Killed, LostAnswers, OvertakenBucket
from tests.support.stored import document_pattern, key_pattern, members, pinned
from tests.support.trial import copy_of

# ruff: noqa: F811 (fixtures)


@pytest.fixture
def bucket(drafts: list[Path]) -> MemoryBucket:
    """BO1 in production, CO1 and CO2 wait."""
    made = MemoryBucket()
    queue_of_two(made, drafts)
    return made


def queue_of_two(bucket: MemoryBucket, drafts: list[Path]) -> None:
    publish(bucket, drafts[0], "first", "BO")
    wait_in_queue(bucket, drafts[1], "one")
    wait_in_queue(bucket, drafts[2], "two")


def take(bucket: Bucket, candidate: str) -> str | None:
    return candidate_queue.take(bucket, candidate, "test", "the best")


def test_a_candidate_that_waits_is_published_only_when_it_takes_the_slot(bucket: MemoryBucket) -> None:
    assert (candidate_queue.holder(bucket), candidate_queue.waiting(bucket)) == (None, ["CO1", "CO2"])
    assert bundle_reader.published(bucket, "CO") == [], "no replica serves it"
    assert bundle_reader.ignored_folders(bucket) == [] and promotion.resume_interrupted(bucket, "test") == []
    bundle_reader.verify(bucket, "CO2")
    assert candidate_queue.why_waiting(bucket)["CO1"] == "the next evaluation gives the slot to the best that waits"
    assert take(bucket, "CO2") == "CO2" == take(bucket, "CO1"), "the slot is taken once"
    assert bundle_reader.published(bucket, "CO") == ["CO2"]
    assert candidate_queue.why_waiting(bucket) == {"CO1": "CO2 has the slot"}
    with pytest.raises(NotFound, match="CO1 is no candidate on trial: it waits"):
        promotion.promote(bucket, "CO1", in_production, "person", "it never met a visitor")


def test_the_end_of_a_trial_frees_the_slot(bucket: MemoryBucket) -> None:
    take(bucket, "CO2")
    control_record.start_experiment(bucket, "BO1", "CO2", 20, "test")
    promotion.promote(bucket, "CO2", in_production, "test", "better")
    assert candidate_queue.holder(bucket) is None and take(bucket, "CO1") == "CO1"
    assert bundle_reader.published(bucket, "CO") == ["CO1"]
    assert_consistent(bucket)


def test_a_candidate_of_an_earlier_release_has_the_slot(bucket: MemoryBucket, drafts: list[Path]) -> None:
    publish(bucket, drafts[1], "before there was a queue", "CO")
    assert take(bucket, "CO1") == "CO3" == candidate_queue.holder(bucket)
    promotion.roll_back(bucket, "CO3", "test", "worse")
    assert take(bucket, "CO1") == "CO1"


def test_a_folder_that_somebody_deletes_does_not_keep_the_slot(bucket: MemoryBucket) -> None:
    take(bucket, "CO2")
    for entry in bucket.list("models/price_check_CO2/"):
        bucket.delete(entry.key)
    assert candidate_queue.holder(bucket) is None and take(bucket, "CO1") == "CO1"


def test_a_candidate_that_waits_is_withdrawn_with_the_reason(bucket: MemoryBucket) -> None:
    assert training_runs.outcomes(bucket, training_runs.read_manifests(bucket)[0])["CO1"] == "waits for its trial"
    promotion.withdraw(bucket, "CO1", "person:ann", "it undervalues villas")
    assert candidate_queue.waiting(bucket) == ["CO2"] and promotion.rejected_bundles(bucket) == [], "it has not lost"
    assert promotion.reason_of(bucket, "CO1") == "it undervalues villas" and promotion.reason_of(bucket, "CO2") == ""
    became = training_runs.outcomes(bucket, training_runs.read_manifests(bucket)[0])
    assert became["CO1"] == "withdrawn: it undervalues villas"
    with pytest.raises(Conflict, match="the decision to withdraw it was made first"):
        promotion.roll_back(bucket, "CO1", "person", "again")
    assert bundle_publisher.claim(bucket, "CO", "another") == "CO3"
    assert_consistent(bucket)


def test_the_oldest_leaves_when_too_many_wait_unless_it_is_held(
    bucket: MemoryBucket, drafts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3, 3 + candidate_queue.MOST_WAITING):
        wait_in_queue(bucket, drafts[1], f"run {number}")
    holds.set_hold(bucket, "CO1", "person:ann", "it waits for the monsoon")
    assert candidate_queue.drop_oldest(bucket, "test") == ["CO2"] and candidate_queue.drop_oldest(bucket, "test") == []
    assert promotion.reason_of(bucket, "CO2") == "4 newer candidates wait"
    assert candidate_queue.waiting(bucket) == ["CO1", "CO3", "CO4", "CO5", "CO6"]
    assert "CO1 is held by person:ann" in candidate_queue.why_waiting(bucket)["CO1"]


def test_an_answer_that_is_lost_costs_no_slot(bucket: MemoryBucket) -> None:
    assert candidate_queue.take(LostAnswers(bucket), "CO1", "test", "the best") == "CO1"
    assert bundle_reader.published(bucket, "CO") == ["CO1"]


def test_a_run_finds_its_candidate_again_though_a_later_one_is_published(bucket: MemoryBucket) -> None:
    take(bucket, "CO2")
    assert bundle_publisher.publish(bucket, "one", "CO", waits=True) == "CO1"


def test_the_slot_is_never_seen_free_while_its_candidate_is_published(drafts: list[Path]) -> None:
    for operations in range(20):
        bucket = MemoryBucket()
        queue_of_two(bucket, drafts)
        with pytest.raises(Killed):
            candidate_queue.take(DyingBucket(bucket, bucket_operations_to_claim(bucket)), "CO1", "test", "the best")
        assert bundle_reader.published(bucket, "CO") == []

        def publish_it(bucket: MemoryBucket = bucket) -> None:
            bundle_publisher.publish_waiting(bucket, "CO1")

        assert candidate_queue.holder(OvertakenBucket(bucket, operations, publish_it)) == "CO1", operations


def bucket_operations_to_claim(bucket: MemoryBucket) -> int:
    """After how many operations `take` has claimed the slot."""
    for operations in range(100):
        tried = copy_of(bucket)
        with suppress(Killed):
            candidate_queue.take(DyingBucket(tried, operations), "CO1", "test", "the best")
        if tried.exists(candidate_queue.KEY):
            return operations
    raise AssertionError("the slot was not claimed")


def test_a_damaged_slot_is_named(bucket: MemoryBucket) -> None:
    bucket.put(candidate_queue.KEY, b"{}")
    with pytest.raises(HomePricesError, match=r"control/slot.json is no slot"):
        candidate_queue.holder(bucket)


@pytest.mark.parametrize("ends", ["promote", "withdraw"])
def test_a_candidate_that_leaves_the_queue_survives_a_kill_after_every_operation(drafts: list[Path], ends: str) -> None:
    def act(bucket: Bucket) -> None:
        promotion.resume_interrupted(bucket, "test")
        if ends == "promote":
            take(bucket, "CO2")
        elif "CO2" in bundle_reader.waiting(bucket):
            promotion.withdraw(bucket, "CO2", "test", "too old")

    def check(bucket: MemoryBucket) -> None:
        assert bundle_reader.published(bucket, "CO") == (["CO2"] if ends == "promote" else [])
        assert bundle_reader.waiting(bucket) == ["CO1"]
        assert not list(bucket.list("models/price_check_CO2/")) or ends == "promote"
        assert not any(entry.key.endswith("CO2/waiting.json") for entry in bucket.list(""))

    survive_every_kill(MemoryBucket(), lambda b: queue_of_two(b, drafts), act, check)


@pytest.mark.parametrize("slow_takes", [True, False])
def test_of_a_withdrawal_and_the_slot_at_once_the_withdrawal_wins(drafts: list[Path], slow_takes: bool) -> None:
    """Whichever overtakes the other after any operation, the candidate is archived once, and the other may follow."""

    def withdraw(bucket: Bucket) -> None:
        promotion.withdraw(bucket, "CO2", "person", "it undervalues villas")

    for operations in range(200):
        bucket = MemoryBucket()
        queue_of_two(bucket, drafts)
        slow, quick = (lambda b: take(b, "CO2"), withdraw) if slow_takes else (withdraw, lambda b: take(b, "CO2"))
        overtaken = OvertakenBucket(bucket, operations, lambda b=bucket, quick=quick: quick(b))  # type: ignore[misc]
        slow(overtaken)
        if not slow_takes or overtaken.overtaken:
            assert bundle_reader.published(bucket, "CO") == [], "replicas would serve it until the next evaluation"
        promotion.resume_interrupted(bucket, "next run")
        if not slow_takes or overtaken.overtaken:
            assert take(bucket, "CO1") == "CO1" and bundle_reader.waiting(bucket) == []
        assert_consistent(bucket)
        if not overtaken.overtaken:
            assert operations > 5
            return
    raise AssertionError("it never came to its end")


def test_what_the_queue_stores_is_pinned(bucket: MemoryBucket) -> None:
    promotion.withdraw(bucket, "CO1", "test", "too old")
    names = pinned("stored_names.json")
    assert key_pattern("models/price_check_CO2/waiting.json") in names["keys"]
    assert bucket.exists("models/price_check_CO2/waiting.json")
    take(bucket, "CO2")
    for key in (candidate_queue.KEY, "claims/CO1.outcome.json"):
        assert key_pattern(key) in names["keys"]
        assert members(json.loads(bucket.get(key).body)) == set(names["members"][document_pattern(key)]["members"])
