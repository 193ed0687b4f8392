"""The ring in the bucket: what is stored, how long a key lives, and two writers at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import Conflict, HomePricesError, InvalidInput, NotFound
from homeprices.keys import key_ring
from homeprices.keys.key_ring import KEY, ApiKey, KeyRing, parse_quota
from homeprices.keys.key_token import read_key

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


@pytest.fixture
def bucket() -> MemoryBucket:
    """An empty bucket."""
    return MemoryBucket()


def create(bucket: MemoryBucket, quota: str = "20/s", life: timedelta = 90 * DAY) -> key_ring.NewKey:
    return key_ring.create(bucket, ["batch", "predict"], quota, life, "person:me", "the shop", clock=at(NOW))


def test_the_bucket_holds_digests_and_never_a_key(bucket: MemoryBucket) -> None:
    made = create(bucket)
    stored = bucket.get(KEY).body.decode()
    secret = made.text.rsplit("_", 1)[1]
    assert made.text not in stored
    assert secret not in stored
    token = read_key(made.text)
    assert token is not None
    assert token.digest.hex() in stored
    assert key_ring.read(bucket).keys == (made.key,)
    assert (made.key.scopes, made.key.created_by, made.key.note) == (("predict", "batch"), "person:me", "the shop")


def test_a_key_lives_until_it_expires_or_is_revoked(bucket: MemoryBucket) -> None:
    made = create(bucket, life=DAY)
    assert [made.key.state(NOW + DAY * share) for share in (0, 0.99, 1)] == ["valid", "valid", "expired"]
    revoked = key_ring.revoke(bucket, made.key.id, "person:you", clock=at(NOW + DAY / 2))
    assert (revoked.state(NOW), revoked.revoked_by, revoked.ends_at) == ("revoked", "person:you", NOW + DAY / 2)
    again = key_ring.revoke(bucket, made.key.id, "person:other", clock=at(NOW + DAY))
    assert again == revoked


def test_after_a_rotation_two_texts_are_valid_until_the_overlap_ends(bucket: MemoryBucket) -> None:
    first = create(bucket)
    second = key_ring.rotate(bucket, first.key.id, 7 * DAY, clock=at(NOW + DAY))
    assert second.text != first.text
    assert (second.key.scopes, second.key.quota) == (first.key.scopes, first.key.quota)
    tags = [read_key(one.text).tag for one in (first, second)]  # type: ignore[union-attr]
    valid = [[one.tag for one in second.key.valid_secrets(NOW + days * DAY)] for days in (1, 7.9, 8, 90.9, 91)]
    assert valid == [tags, tags, tags[1:], tags[1:], []]


def test_while_two_texts_are_valid_a_third_needs_both_to_end(bucket: MemoryBucket) -> None:
    made = create(bucket)
    key_ring.rotate(bucket, made.key.id, 7 * DAY, clock=at(NOW))
    with pytest.raises(Conflict, match=r"valid until 2026-01-12 12:00 UTC"):
        key_ring.rotate(bucket, made.key.id, DAY, clock=at(NOW + DAY))
    last = key_ring.rotate(bucket, made.key.id, timedelta(0), clock=at(NOW + DAY))
    assert [one.tag for one in last.key.valid_secrets(NOW + DAY)] == [read_key(last.text).tag]  # type: ignore[union-attr]
    later = key_ring.rotate(bucket, made.key.id, DAY, DAY, clock=at(NOW + 2 * DAY))
    assert len(later.key.valid_secrets(NOW + 2 * DAY)) == 2


def test_an_overlap_never_lengthens_the_life_of_a_text(bucket: MemoryBucket) -> None:
    made = create(bucket, life=2 * DAY)
    second = key_ring.rotate(bucket, made.key.id, 7 * DAY, 30 * DAY, clock=at(NOW + DAY))
    assert second.key.secrets[0].expires_at == NOW + 2 * DAY


def test_a_key_that_has_ended_is_not_rotated(bucket: MemoryBucket) -> None:
    made = create(bucket, life=DAY)
    with pytest.raises(Conflict, match="expired"):
        key_ring.rotate(bucket, made.key.id, DAY, clock=at(NOW + DAY))
    key_ring.revoke(bucket, made.key.id, "person:me", clock=at(NOW))
    with pytest.raises(Conflict, match="revoked"):
        key_ring.rotate(bucket, made.key.id, DAY, clock=at(NOW))


@pytest.mark.parametrize("call", [key_ring.rotate, key_ring.revoke])
def test_an_unknown_key_is_named(bucket: MemoryBucket, call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NotFound, match="there is no key nothing"):
        call(bucket, "nothing", DAY if call is key_ring.rotate else "person:me")


@pytest.mark.parametrize("quota", ["0/s", "10001/s", "60001/m", "5/h", "5", "-1/s", "1.5/s", "", "٣/s", "5/s;"])
def test_a_quota_out_of_bounds_is_refused(bucket: MemoryBucket, quota: str) -> None:
    with pytest.raises(InvalidInput, match="quota"):
        create(bucket, quota)
    assert not bucket.exists(KEY)


def test_a_quota_says_when_to_come_again() -> None:
    assert [parse_quota(text).retry_seconds for text in ("1/s", "9/s", "60/m", "7/m", "1/m")] == [1, 1, 1, 9, 60]


@pytest.mark.parametrize("scopes", [[], ["admin"], ["predict", "all"]])
def test_only_known_scopes_are_given(bucket: MemoryBucket, scopes: list[str]) -> None:
    with pytest.raises(InvalidInput, match="predict, batch, feedback, operate"):
        key_ring.create(bucket, scopes, "1/s", DAY, "person:me")  # type: ignore[arg-type]


@pytest.mark.parametrize("life", [timedelta(0), timedelta(seconds=59), timedelta(days=1096)])
def test_a_life_out_of_bounds_is_refused(bucket: MemoryBucket, life: timedelta) -> None:
    with pytest.raises(InvalidInput, match="expires"):
        create(bucket, life=life)


def test_the_number_of_keys_and_of_quotas_is_bounded(bucket: MemoryBucket) -> None:
    example = create(bucket).key

    def fill(keys: list[ApiKey]) -> None:
        bucket.put(KEY, KeyRing(keys=tuple(keys)).model_dump_json().encode())

    many = [example.model_copy(update={"id": f"{n:08}"}) for n in range(key_ring.MOST_KEYS)]
    fill(many)
    with pytest.raises(Conflict, match="500 keys"):
        create(bucket)
    ended = {"revoked_at": NOW - key_ring.KEPT_AFTER_END}
    fill([many[0].model_copy(update=ended), *many[1:]])
    made = create(bucket)
    assert [key.id for key in key_ring.read(bucket).keys] == [*(key.id for key in many[1:]), made.key.id]
    fill([key.model_copy(update={"quota": f"{n + 1}/m"}) for n, key in enumerate(many[: key_ring.MOST_QUOTAS])])
    with pytest.raises(Conflict, match="32 different quotas"):
        create(bucket, "7/s")
    assert create(bucket, "7/m").key.quota == "7/m"


def test_two_writers_lose_no_key(bucket: MemoryBucket) -> None:
    texts: list[str] = []
    writers = [threading.Thread(target=lambda: texts.append(create(bucket).key.id)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(key.id for key in key_ring.read(bucket).keys) == sorted(texts)


def test_a_revocation_survives_a_rotation_at_the_same_time(bucket: MemoryBucket) -> None:
    made = create(bucket)
    put = bucket.put

    def put_after_another(key: str, body: bytes, **condition: object) -> str:
        bucket.put = put  # type: ignore[method-assign]
        key_ring.revoke(bucket, made.key.id, "person:other", clock=at(NOW))
        return put(key, body, **condition)  # type: ignore[arg-type]

    bucket.put = put_after_another  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="revoked"):
        key_ring.rotate(bucket, made.key.id, DAY, clock=at(NOW))
    assert key_ring.read(bucket).find(made.key.id).state(NOW) == "revoked"


def test_a_write_whose_answer_was_lost_is_not_made_twice(bucket: MemoryBucket) -> None:
    made = create(bucket)
    put = bucket.put

    def put_twice(key: str, body: bytes, **condition: object) -> str:
        bucket.put = put  # type: ignore[method-assign]
        put(key, body, **condition)  # type: ignore[arg-type]
        return put(key, body, **condition)  # type: ignore[arg-type]

    bucket.put = put_twice  # type: ignore[method-assign]
    again = key_ring.rotate(bucket, made.key.id, DAY, clock=at(NOW))
    assert key_ring.read(bucket).find(made.key.id) == again.key
    assert len(again.key.secrets) == 2


def test_a_damaged_ring_is_said_and_not_overwritten(bucket: MemoryBucket) -> None:
    bucket.put(KEY, b'{"keys": [{}]}')
    with pytest.raises(HomePricesError, match="is no key ring"):
        create(bucket)
    assert bucket.get(KEY).body == b'{"keys": [{}]}'
