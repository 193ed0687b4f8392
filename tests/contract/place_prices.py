"""What tables of place prices promise on any bucket: complete or absent, never overwritten, safe to kill and repeat."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

import pytest

from homeprices.adapters.object_store import RangedBucket
from homeprices.errors import BundleRefused
from homeprices.pricing.market import PlacePrices
from homeprices.registry import place_price_tables as tables
from homeprices.registry.place_price_tables import PREFIX, TableManifest
from tests.support.bundles import make_place_prices
from tests.support.faulty_bucket import DyingBucket, Killed, LostAnswers, OvertakenBucket

DAY = date(2026, 6, 1)
DATASET = {"dataset": "train_V1", "dataset_sha256": "a" * 64}


def day(number: int, level: float = 1.0) -> PlacePrices:
    return make_place_prices(DAY + timedelta(days=number), whitefield=level)


def objects(bucket: RangedBucket) -> dict[str, bytes]:
    return {entry.key: bucket.get(entry.key).body for entry in bucket.list(PREFIX)}


def stored(bucket: RangedBucket) -> list[tuple[str, PlacePrices]]:
    found = [tables.read(bucket, number) for number in tables.versions(bucket)]
    return [(manifest.name, tables.verified(manifest, body)) for manifest, body in found]


class PlacePriceContract:
    """The tests of every bucket. A subclass has the fixture `bucket`, empty below `features/`."""

    def test_a_table_is_the_next_version_and_reads_back(self, bucket: RangedBucket) -> None:
        assert tables.newest(bucket) is None
        assert tables.publish(bucket, day(0), **DATASET).name == "V1"
        assert tables.publish(bucket, day(1), **DATASET).name == "V2"
        assert stored(bucket) == [("V1", day(0)), ("V2", day(1))]
        newest = tables.newest(bucket)
        assert newest is not None and newest[0].dataset == "train_V1" and newest[1] == day(1)

    def test_an_equal_table_has_one_version_and_an_older_day_none(self, bucket: RangedBucket) -> None:
        first = tables.publish(bucket, day(1), **DATASET)
        before = objects(bucket)
        assert tables.publish(bucket, day(1), **DATASET) == first
        assert tables.publish(bucket, day(0), **DATASET) == first
        assert objects(bucket) == before
        # The same day of a newer dataset is another table.
        assert tables.publish(bucket, day(1, 1.1), **DATASET).name == "V2"

    def test_a_writer_that_is_killed_at_any_step_and_repeated_gives_the_same_outcome(
        self, bucket: RangedBucket
    ) -> None:
        tables.publish(bucket, day(0), **DATASET)
        operations = 0
        while True:
            try:
                tables.publish(DyingBucket(bucket, operations), day(1), **DATASET)
                break
            except Killed:
                assert [name for name, _ in stored(bucket)] in (["V1"], ["V1", "V2"])
                operations += 1
        assert operations >= 3
        assert stored(bucket) == [("V1", day(0)), ("V2", day(1))]
        assert len(objects(bucket)) == 4

    def test_lost_answers_and_a_writer_that_comes_between_lose_nothing(self, bucket: RangedBucket) -> None:
        assert tables.publish(LostAnswers(bucket), day(0), **DATASET).name == "V1"
        for operations in range(3):
            number = operations + 1
            other = OvertakenBucket(bucket, operations, partial(tables.publish, bucket, day(number, 2.0), **DATASET))
            tables.publish(other, day(number), **DATASET)
            assert other.overtaken
            written = [table for _, table in stored(bucket)]
            assert day(number) in written and day(number, 2.0) in written

    def test_what_another_attempt_left_behind_is_neither_read_nor_overwritten(self, bucket: RangedBucket) -> None:
        bucket.put(f"{PREFIX}V1/table.json", b"half")
        assert tables.newest(bucket) is None
        assert tables.publish(bucket, day(0), **DATASET).name == "V2"
        assert bucket.get(f"{PREFIX}V1/table.json").body == b"half"
        assert tables.prune(bucket) == [1]
        assert stored(bucket) == [("V2", day(0))]

    def test_the_oldest_versions_leave_manifest_first(self, bucket: RangedBucket) -> None:
        for number in range(4):
            tables.publish(bucket, day(number), **DATASET)
        for operations in range(1, 7):
            try:
                tables.prune(DyingBucket(bucket, operations), kept=2)
            except Killed:
                assert [table for _, table in stored(bucket)][-2:] == [day(2), day(3)]
        tables.prune(bucket, kept=2)
        assert stored(bucket) == [("V3", day(2)), ("V4", day(3))] and len(objects(bucket)) == 4
        assert tables.publish(bucket, day(4), **DATASET).name == "V5"

    @pytest.mark.parametrize(
        ("name", "body", "problem"),
        [
            ("table.json", b"{}", "another digest"),
            ("manifest.json", b"{}", "Field required"),
            ("manifest.json", b"no json", "Invalid JSON"),
        ],
    )
    def test_a_damaged_table_is_refused(self, bucket: RangedBucket, name: str, body: bytes, problem: str) -> None:
        tables.publish(bucket, day(0), **DATASET)
        bucket.put(f"{PREFIX}V1/{name}", body)
        with pytest.raises(BundleRefused, match=problem):
            tables.newest(bucket)

    def test_a_table_of_another_day_or_folder_is_refused(self, bucket: RangedBucket) -> None:
        manifest = tables.publish(bucket, day(0), **DATASET)
        body = manifest.model_copy(update={"as_of": DAY + timedelta(days=9)}).model_dump_json().encode()
        with pytest.raises(BundleRefused, match="its manifest says 2026-06-10"):
            tables.verified(TableManifest.model_validate_json(body), bucket.get(f"{PREFIX}V1/table.json").body)
        bucket.put(f"{PREFIX}V7/manifest.json", manifest.model_dump_json().encode())
        with pytest.raises(BundleRefused, match="says that it is V1"):
            tables.newest(bucket)
