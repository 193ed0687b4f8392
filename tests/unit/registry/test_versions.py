"""Version names and their claims."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import Conflict, InvalidInput, PreconditionFailed
from homeprices.registry import bundle_publisher, bundle_reader, versions
from tests.support.faulty_bucket import LostAnswers


def complete(bucket: MemoryBucket, version: str, place: str = "models") -> None:
    bucket.put(f"{place}/price_check_{version}/manifest.json", b"{}")


def test_a_name_is_a_kind_and_a_number() -> None:
    assert versions.version_name("CO", 12) == "CO12"
    assert (versions.kind_of("train_V3"), versions.number_of("train_V3")) == ("train_V", 3)
    assert versions.folder("BO1") == "models/price_check_BO1/"
    assert versions.archive_folder("CO2") == "archive/price_check_CO2/"


@pytest.mark.parametrize("wrong", ["", "BO", "BO0", "BO01", "bo1", "XO1", "BO1/", "BO1\n", "BO-1", "price_check_BO1"])
def test_what_is_no_version_name_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="not a version name such as BO1"):
        versions.number_of(wrong)


def test_a_dataset_has_no_bundle_folder() -> None:
    with pytest.raises(InvalidInput, match="train_V1' is a dataset"):
        versions.folder("train_V1")


def test_numbers_begin_at_one_and_each_kind_counts_for_itself(bucket: MemoryBucket) -> None:
    assert bundle_publisher.claim(bucket, "BO", "a") == "BO1"
    assert bundle_publisher.claim(bucket, "CO", "a") == "CO1"
    assert bundle_publisher.claim(bucket, "train_V", "a") == "train_V1"
    assert bundle_publisher.claim(bucket, "BO", "b") == "BO2"


def test_a_claim_says_whose_it_is_and_since_when(bucket: MemoryBucket) -> None:
    bundle_publisher.claim(bucket, "BO", "me", now=lambda: datetime(2026, 3, 1, tzinfo=UTC))
    assert bucket.get("claims/BO1.json").body == b'{"owner": "me", "at": "2026-03-01T00:00:00+00:00"}'


def test_an_owner_that_comes_again_gets_its_number_back(bucket: MemoryBucket) -> None:
    assert [bundle_publisher.claim(bucket, "CO", owner) for owner in "aabba"] == ["CO1", "CO1", "CO2", "CO2", "CO1"]
    assert bundle_publisher.claimed(bucket, "CO", "b") == "CO2"
    assert bundle_publisher.claimed(bucket, "CO", "c") is None


@pytest.mark.parametrize(
    "key",
    [
        "claims/CO7.json",
        "models/price_check_CO7/model.onnx",
        "models/price_check_CO7/manifest.json",
        "archive/price_check_CO7/plots/a.png",
    ],
)
def test_a_number_that_was_seen_anywhere_is_not_used_again(bucket: MemoryBucket, key: str) -> None:
    bucket.put(key, b"{}")
    assert bundle_publisher.claim(bucket, "CO", "next") == "CO8"


def test_a_dataset_that_lies_there_without_a_claim_keeps_its_number(bucket: MemoryBucket) -> None:
    bucket.put("data/raw/train_V4.csv", b"")
    bucket.put("data/raw/train_V4.csv.bak", b"")
    assert bundle_publisher.claim(bucket, "train_V", "import") == "train_V5"


def test_a_deleted_bundle_keeps_its_number_through_its_claim(bucket: MemoryBucket) -> None:
    bundle_publisher.claim(bucket, "CO", "a")
    complete(bucket, "CO1")
    bucket.delete("models/price_check_CO1/manifest.json")
    assert bundle_publisher.claim(bucket, "CO", "b") == "CO2"


def test_a_claim_that_was_overtaken_is_given_up(bucket: MemoryBucket) -> None:
    assert bundle_publisher.claim(bucket, "BO", "slow") == "BO1"
    assert bundle_publisher.claim(bucket, "BO", "quick") == "BO2"
    complete(bucket, "BO2")
    assert bundle_publisher.claimed(bucket, "BO", "slow") is None
    assert bundle_publisher.claim(bucket, "BO", "slow") == "BO3"
    assert bundle_publisher.claim(bucket, "BO", "slow") == "BO3"


@pytest.mark.parametrize("place", ["models", "archive"])
def test_a_claim_that_was_completed_stands_however_many_came_after(bucket: MemoryBucket, place: str) -> None:
    bundle_publisher.claim(bucket, "CO", "first")
    complete(bucket, "CO1", place)
    bundle_publisher.claim(bucket, "CO", "second")
    complete(bucket, "CO2")
    assert bundle_publisher.claim(bucket, "CO", "first") == "CO1"


def test_a_completed_dataset_keeps_its_owner(bucket: MemoryBucket) -> None:
    for owner in ("one", "two"):
        bucket.put(f"data/raw/{bundle_publisher.claim(bucket, 'train_V', owner)}.csv", b"rows")
    assert bundle_publisher.claim(bucket, "train_V", "one") == "train_V1"


def test_our_own_claim_that_is_answered_with_a_refusal_is_ours(bucket: MemoryBucket) -> None:
    assert bundle_publisher.claim(LostAnswers(bucket), "BO", "mine") == "BO1"
    assert bundle_publisher.claim(LostAnswers(bucket), "BO", "mine") == "BO1"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"at": 1}', b"\xff"])
def test_an_unreadable_claim_still_holds_its_number(bucket: MemoryBucket, body: bytes) -> None:
    bucket.put("claims/BO1.json", body)
    assert bundle_publisher.claim(bucket, "BO", "next") == "BO2"


def test_a_bucket_that_takes_no_claim_is_given_up_with_a_reason() -> None:
    class Refusing(MemoryBucket):
        def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
            raise PreconditionFailed(key)

    with pytest.raises(Conflict, match="no number for BO in 100 attempts"):
        bundle_publisher.claim(Refusing(), "BO", "me")


def test_more_than_a_thousand_claims_and_bundles_are_all_seen(bucket: MemoryBucket) -> None:
    for number in range(1, 1_203):
        bucket.put(f"claims/CO{number}.json", b'{"owner": "run %d"}' % number)
        complete(bucket, f"CO{number}", "archive")
    assert bundle_publisher.claim(bucket, "CO", "another") == "CO1203"
    assert bundle_publisher.claim(bucket, "CO", "run 2") == "CO2"


def test_the_highest_is_by_number_and_complete(bucket: MemoryBucket) -> None:
    assert bundle_reader.highest(bucket, "BO") is None
    for version in ("BO9", "BO10"):
        complete(bucket, version)
    bucket.put("models/price_check_BO11/model.onnx", b"no manifest yet")
    bucket.put("models/price_check_BO12/plots/manifest.json", b"not the manifest")
    complete(bucket, "BO13", "archive")
    assert bundle_reader.published(bucket, "BO") == ["BO9", "BO10"]
    assert bundle_reader.highest(bucket, "BO") == "BO10"


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=30))
def test_whoever_claims_in_whatever_order_no_number_is_given_to_two(steps: list[tuple[str, bool]]) -> None:
    bucket = MemoryBucket()
    owners: dict[str, str] = {}
    for owner, then_completes in steps:
        version = bundle_publisher.claim(bucket, "CO", owner)
        assert owners.setdefault(version, owner) == owner
        if then_completes:
            complete(bucket, version)
