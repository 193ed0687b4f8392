import threading
from collections.abc import Callable, Iterator
from datetime import UTC

import pandas as pd
import pytest

from homeprices.adapters.object_store import Entry, MemoryBucket
from homeprices.data.schema import read_listings, to_csv
from homeprices.data.synthetic import make_listings
from homeprices.errors import Conflict, DatasetRefused, ObjectNotFound, StorageUnavailable
from homeprices.pricing.manifest import DatasetReference
from homeprices.registry import datasets
from homeprices.registry.datasets import Dataset, import_csv, latest, read

ONE, OTHER = to_csv(make_listings(60, 1)), to_csv(make_listings(60, 2))


class BreaksOnFirstUpload(MemoryBucket):
    """Takes a claim and then, once, no dataset: what a kill between the two leaves behind."""

    broken = False

    def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        if key.startswith("data/raw/") and not self.broken:
            self.broken = True
            raise StorageUnavailable("gone")
        return super().put(key, body, if_absent=if_absent, if_match=if_match)


def keys(bucket: MemoryBucket) -> list[str]:
    return [entry.key for entry in bucket.list("data/raw/")]


def test_a_file_is_stored_as_it_came_under_the_next_number() -> None:
    bucket = MemoryBucket()
    first, second = import_csv(bucket, ONE, "one.csv"), import_csv(bucket, OTHER, "other.csv")
    assert (first.version, first.name, first.key, first.rows) == (1, "train_V1", "data/raw/train_V1.csv", 60)
    assert second.version == 2
    assert bucket.get(first.key).body == ONE
    assert latest(bucket) == second
    assert (second.source, second.imported_at and second.imported_at.tzinfo) == ("other.csv", UTC)


@pytest.mark.parametrize("source", ["synthetic listings", "a:b:0123456789abcdef:after nothing", "é\n" * 80])
def test_what_listings_are_and_since_when_is_known_of_each_version(source: str) -> None:
    bucket = MemoryBucket()
    import_csv(bucket, ONE, source)
    found = latest(bucket)
    assert found and found.source == source[-100:]
    reference = DatasetReference(**found.model_dump(), rows_used=1)
    assert found.imported_at
    assert str(reference.described()).endswith(f", imported on {found.imported_at:%Y-%m-%d}")
    assert "\n" not in str(reference.described())


@pytest.mark.parametrize("claimed", [None, b"", b"[]", b'{"owner": 1}', b'{"owner": "a person", "at": "today"}'])
def test_of_a_dataset_that_was_put_there_by_hand_no_source_is_known(claimed: bytes | None) -> None:
    bucket = MemoryBucket()
    bucket.put("data/raw/train_V1.csv", ONE)
    if claimed is not None:
        bucket.put("claims/train_V1.json", claimed)
    found = latest(bucket)
    assert found and (found.source, found.imported_at) == (None, None)
    assert DatasetReference(**found.model_dump(), rows_used=1).described() is None


def test_the_newest_content_is_not_stored_twice_but_an_older_one_is_a_new_version() -> None:
    bucket = MemoryBucket()
    first = import_csv(bucket, ONE, "one.csv")
    assert import_csv(bucket, ONE, "again.csv") == first
    import_csv(bucket, OTHER, "other.csv")
    assert import_csv(bucket, ONE, "one.csv").version == 3
    assert len(keys(bucket)) == 3


def test_a_file_that_is_refused_leaves_nothing_in_the_bucket() -> None:
    bucket = MemoryBucket()
    with pytest.raises(DatasetRefused):
        import_csv(bucket, ONE.replace(b"price", b"cost", 1), "one.csv")
    with pytest.raises(DatasetRefused, match="cannot be used"):
        import_csv(bucket, ONE.replace(b"BHK", b"rooms").replace(b"Bedroom", b"rooms"), "one.csv")
    assert list(bucket.list("")) == []


def test_an_import_that_was_killed_gets_its_number_back() -> None:
    bucket = BreaksOnFirstUpload()
    with pytest.raises(StorageUnavailable):
        import_csv(bucket, ONE, "one.csv")
    assert latest(bucket) is None
    assert import_csv(bucket, ONE, "one.csv").version == 1


def test_the_same_file_imported_by_many_at_once_is_one_dataset() -> None:
    bucket, found = MemoryBucket(), []
    threads = [threading.Thread(target=lambda: found.append(import_csv(bucket, ONE, "one.csv"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [dataset.version for dataset in found] == [1] * 6
    assert keys(bucket) == ["data/raw/train_V1.csv"]


def test_a_key_that_somebody_else_wrote_is_never_overwritten() -> None:
    class WrittenByAnother(MemoryBucket):
        def list(self, prefix: str) -> Iterator[Entry]:
            return (entry for entry in super().list(prefix) if not entry.key.startswith("data/raw/"))

    bucket = WrittenByAnother()
    bucket.put("data/raw/train_V1.csv", OTHER)
    with pytest.raises(Conflict, match="exists with another content"):
        import_csv(bucket, ONE, "one.csv")
    assert bucket.get("data/raw/train_V1.csv").body == OTHER


def test_a_bucket_without_datasets_has_no_latest_and_other_files_are_none() -> None:
    bucket = MemoryBucket()
    bucket.put("data/raw/notes.txt", b"x")
    bucket.put("data/raw/train_V2.csv.bak", b"x")
    assert latest(bucket) is None


def test_versions_are_numbers_and_not_words() -> None:
    bucket = MemoryBucket()
    for version in (9, 10):
        bucket.put(f"data/raw/train_V{version}.csv", ONE)
    assert latest(bucket) == datasets.describe(bucket, 10)


def test_what_is_read_is_what_was_described() -> None:
    bucket = MemoryBucket()
    dataset = import_csv(bucket, ONE, "one.csv")
    assert len(read(bucket, dataset)) == dataset.rows
    bucket.put(dataset.key, OTHER)
    with pytest.raises(Conflict, match="is not the file with the digest"):
        read(bucket, dataset)
    bucket.delete(dataset.key)
    with pytest.raises(ObjectNotFound):
        read(bucket, dataset)


def test_a_dataset_survives_json() -> None:
    dataset = import_csv(MemoryBucket(), ONE, "one.csv")
    assert Dataset.model_validate(dataset.model_dump(mode="json")) == dataset


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".jsonl", lambda rows: rows.to_json(orient="records", lines=True).encode()),
        (".json", lambda rows: rows.to_json(orient="records").encode()),
        (".parquet", lambda rows: rows.to_parquet(index=False)),
    ],
)
def test_a_file_of_another_format_has_its_own_ending_and_the_same_rows(
    suffix: str, write: Callable[[pd.DataFrame], bytes]
) -> None:
    bucket, body = MemoryBucket(), write(make_listings(60, 1))
    dataset = import_csv(bucket, body, f"one{suffix}")
    assert (dataset.key, bucket.get(dataset.key).body) == (f"data/raw/train_V1{suffix}", body)
    assert latest(bucket) == datasets.describe(bucket, 1) == dataset
    assert read(bucket, dataset).to_numpy().tolist() == read_listings(ONE).to_numpy().tolist()
    assert import_csv(bucket, OTHER, "other.csv").key == "data/raw/train_V2.csv"


def test_a_file_of_another_format_that_was_stored_as_csv_before_is_read() -> None:
    bucket = MemoryBucket()
    bucket.put("data/raw/train_V3.csv", make_listings(60, 1).to_json(orient="records").encode())
    found = latest(bucket)
    assert found is not None and (found.key, found.rows) == ("data/raw/train_V3.csv", 60)
    assert read(bucket, found).to_numpy().tolist() == read_listings(ONE).to_numpy().tolist()
