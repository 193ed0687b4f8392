"""What every bucket must do, the one in memory and the real ones alike. A subclass provides the fixture `bucket`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from homeprices.adapters.object_store import Bucket, RangedBucket
from homeprices.errors import ObjectNotFound, PreconditionFailed

WRITERS = 8


def at_once(action: Callable[[int], object], count: int = WRITERS) -> list[object]:
    """Run `action(0..count-1)` in threads that start together; exceptions are returned in place of results."""
    barrier = threading.Barrier(count)

    def run(number: int) -> object:
        barrier.wait(timeout=30)
        try:
            return action(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


class BucketContract:
    def test_gives_back_what_was_put_with_the_entity_tag_of_the_put(self, bucket: Bucket) -> None:
        body = bytes(range(256)) * 300
        etag = bucket.put("round/trip.bin", body)
        held = bucket.get("round/trip.bin")
        assert (held.body, held.etag) == (body, etag)
        assert [(e.key, e.size, e.etag) for e in bucket.list("round/")] == [("round/trip.bin", len(body), etag)]

    def test_takes_an_empty_object(self, bucket: Bucket) -> None:
        bucket.put("empty", b"")
        assert bucket.get("empty").body == b""

    def test_gives_a_piece_of_an_object(self, bucket: RangedBucket) -> None:
        etag = bucket.put("piece", bytes(range(100)))
        assert bucket.get_range("piece", 10, 5, if_match=etag) == bytes(range(10, 15))
        assert bucket.get_range("piece", 95, 50) == bytes(range(95, 100))
        with pytest.raises(ObjectNotFound):
            bucket.get_range("no/piece", 0, 1)

    def test_gives_no_piece_of_what_has_changed(self, bucket: RangedBucket) -> None:
        etag = bucket.put("changed", b"one")
        bucket.put("changed", b"two")
        with pytest.raises(PreconditionFailed):
            bucket.get_range("changed", 0, 1, if_match=etag)

    def test_keeps_keys_apart_that_need_quoting(self, bucket: Bucket) -> None:
        keys = ["quoted/a+b", "quoted/a b", "quoted/a%2Bb", "quoted/ä:1", "quoted/a=b&c"]
        for key in keys:
            bucket.put(key, key.encode())
        assert [bucket.get(key).body.decode() for key in keys] == keys
        assert sorted(entry.key for entry in bucket.list("quoted/")) == sorted(keys)
        bucket.copy("quoted/a+b", "quoted/copy of a+b")
        assert bucket.get("quoted/copy of a+b").body == b"quoted/a+b"

    def test_the_last_unconditional_writer_wins(self, bucket: Bucket) -> None:
        first = bucket.put("last", b"one")
        second = bucket.put("last", b"two")
        assert first != second
        assert bucket.get("last").body == b"two"

    def test_a_missing_key_is_named(self, bucket: Bucket) -> None:
        with pytest.raises(ObjectNotFound, match="no/such/key"):
            bucket.get("no/such/key")
        with pytest.raises(ObjectNotFound):
            bucket.copy("no/such/key", "anywhere")
        assert not bucket.exists("no/such/key")
        assert not bucket.exists("anywhere")

    def test_deleting_twice_is_no_error(self, bucket: Bucket) -> None:
        bucket.put("gone", b"x")
        assert bucket.exists("gone")
        bucket.delete("gone")
        bucket.delete("gone")
        assert not bucket.exists("gone")
        assert list(bucket.list("gone")) == []

    def test_a_prefix_is_no_key(self, bucket: Bucket) -> None:
        bucket.put("folder/file", b"x")
        assert not bucket.exists("folder")
        with pytest.raises(ObjectNotFound):
            bucket.get("folder")

    def test_if_absent_lets_only_the_first_in_and_leaves_its_object(self, bucket: Bucket) -> None:
        bucket.put("absent", b"first", if_absent=True)
        with pytest.raises(PreconditionFailed):
            bucket.put("absent", b"second", if_absent=True)
        assert bucket.get("absent").body == b"first"

    def test_if_absent_lets_in_again_after_a_delete(self, bucket: Bucket) -> None:
        bucket.put("absent/again", b"first", if_absent=True)
        bucket.delete("absent/again")
        bucket.put("absent/again", b"second", if_absent=True)
        assert bucket.get("absent/again").body == b"second"

    def test_if_match_refuses_a_writer_who_has_read_an_older_object(self, bucket: Bucket) -> None:
        old = bucket.put("match", b"one")
        new = bucket.put("match", b"two", if_match=old)
        with pytest.raises(PreconditionFailed):
            bucket.put("match", b"three", if_match=old)
        assert bucket.get("match").body == b"two"
        bucket.put("match", b"four", if_match=new)
        assert bucket.get("match").body == b"four"

    def test_if_match_refuses_a_key_that_is_gone(self, bucket: Bucket) -> None:
        etag = bucket.put("match/gone", b"one")
        bucket.delete("match/gone")
        with pytest.raises((PreconditionFailed, ObjectNotFound)):
            bucket.put("match/gone", b"two", if_match=etag)
        assert not bucket.exists("match/gone")

    def test_of_many_if_absent_writers_at_once_exactly_one_wins(self, bucket: Bucket) -> None:
        for turn in range(3):
            key = f"race/absent/{turn}"
            results = at_once(lambda n, key=key: bucket.put(key, f"writer {n}".encode(), if_absent=True))  # type: ignore[misc]
            winners = [n for n, result in enumerate(results) if isinstance(result, str)]
            assert len(winners) == 1, results
            assert all(isinstance(r, PreconditionFailed) for n, r in enumerate(results) if n not in winners), results
            assert bucket.get(key).body == f"writer {winners[0]}".encode()

    def test_of_many_if_match_writers_at_once_exactly_one_wins(self, bucket: Bucket) -> None:
        key, etag = "race/match", bucket.put("race/match", b"begin")
        for _ in range(5):
            results = at_once(lambda n, etag=etag: bucket.put(key, f"{etag} {n}".encode(), if_match=etag))  # type: ignore[misc]
            winners = [n for n, result in enumerate(results) if isinstance(result, str)]
            assert len(winners) == 1, results
            assert bucket.get(key).body == f"{etag} {winners[0]}".encode()
            etag = bucket.get(key).etag

    def test_a_counter_under_if_match_loses_no_step(self, bucket: Bucket) -> None:
        bucket.put("counter", b"0")

        def step(_: int) -> None:
            for _ in range(5):
                while True:
                    held = bucket.get("counter")
                    try:
                        bucket.put("counter", str(int(held.body) + 1).encode(), if_match=held.etag)
                        break
                    except PreconditionFailed:
                        continue

        assert at_once(step, 4) == [None] * 4
        assert bucket.get("counter").body == b"20"

    def test_a_reader_never_meets_a_half_written_object(self, bucket: Bucket) -> None:
        bodies = {bytes([letter]) * 100_000 for letter in b"abcd"}
        bucket.put("whole", next(iter(bodies)))
        wrong = []

        def write_or_read(number: int) -> None:
            for body in bodies:
                if number % 2:
                    bucket.put("whole", body)
                elif (found := bucket.get("whole").body) not in bodies:
                    wrong.append(found)

        assert at_once(write_or_read) == [None] * WRITERS
        assert wrong == []

    def test_lists_in_order_and_only_what_has_the_prefix(self, bucket: Bucket) -> None:
        for key in ("order/b", "order/a/2", "order/a/10", "order-not", "order/c"):
            bucket.put(key, b"x")
        assert [entry.key for entry in bucket.list("order/")] == ["order/a/10", "order/a/2", "order/b", "order/c"]
        assert [entry.key for entry in bucket.list("order/a/1")] == ["order/a/10"]
        assert list(bucket.list("order/nothing")) == []

    def test_lists_more_than_a_thousand_keys(self, bucket: Bucket) -> None:
        keys = [f"many/{number:05d}" for number in range(1_205)]
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(lambda key: bucket.put(key, b""), keys))
        assert [entry.key for entry in bucket.list("many/")] == keys

    def test_a_listing_can_be_deleted_while_it_is_read(self, bucket: Bucket) -> None:
        for number in range(30):
            bucket.put(f"sweep/{number:02d}", b"x")
        for entry in bucket.list("sweep/"):
            bucket.delete(entry.key)
        assert list(bucket.list("sweep/")) == []

    def test_copies_the_content_and_leaves_the_source(self, bucket: Bucket) -> None:
        bucket.put("copy/from", b"content")
        bucket.put("copy/to", b"old")
        bucket.copy("copy/from", "copy/to")
        assert (bucket.get("copy/from").body, bucket.get("copy/to").body) == (b"content", b"content")
