"""Bundles: staged, published, fetched, archived."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import BundleRefused, Conflict, NotFound, ObjectNotFound
from homeprices.names import BundleKind
from homeprices.pricing.bundle import Bundle
from homeprices.registry import bundle_publisher, bundle_reader
from tests.support.bundles import make_draft
from tests.support.faulty_bucket import DyingBucket, Killed, LostAnswers


def publish(bucket: MemoryBucket, draft: Path, run_id: str = "run", kind: BundleKind = "CO") -> str:
    bundle_publisher.stage(bucket, run_id, draft)
    return bundle_publisher.publish(bucket, run_id, kind)


def keys(bucket: MemoryBucket, prefix: str) -> list[str]:
    return [entry.key.removeprefix(prefix) for entry in bucket.list(prefix)]


def test_a_draft_is_staged_whole(bucket: MemoryBucket, drafts: list[Path]) -> None:
    assert bundle_publisher.stage(bucket, "run", drafts[0]) == "staging/run/"
    local = sorted(path.relative_to(drafts[0]).as_posix() for path in drafts[0].rglob("*") if path.is_file())
    assert keys(bucket, "staging/run/") == local


def test_a_draft_whose_file_was_altered_is_not_staged(bucket: MemoryBucket, tmp_path: Path) -> None:
    folder = make_draft(tmp_path / "draft")
    (folder / "model.onnx").write_bytes(b"something else")
    with pytest.raises(BundleRefused, match=r"model.onnx"):
        bundle_publisher.stage(bucket, "run", folder)
    assert keys(bucket, "") == []


@pytest.mark.parametrize(
    "run_id", ["scheduled__2026-11-01T00:00:00+00:00", "manual/../../models", "..", ".", "run one", "läuft"]
)
def test_a_run_name_stays_within_its_own_staging_folder(run_id: str) -> None:
    place = bundle_reader.staging_folder(run_id)
    assert place.startswith("staging/")
    assert place.count("/") == 2
    assert place not in ("staging/../", "staging/./", bundle_reader.staging_folder(run_id + "!"))


def test_publishing_gives_the_next_version_with_every_file(bucket: MemoryBucket, drafts: list[Path]) -> None:
    assert publish(bucket, drafts[0], "one") == "CO1"
    assert publish(bucket, drafts[1], "two") == "CO2"
    manifest = bundle_reader.read_manifest(bucket, "CO1")
    assert (manifest.version, manifest.kind, manifest.promoted_from, manifest.published_by) == (
        "CO1",
        "CO",
        None,
        "pipeline",
    )
    assert keys(bucket, "models/price_check_CO1/") == sorted(["manifest.json", *manifest.files])
    bundle_reader.verify(bucket, "CO1")


def test_the_manifest_is_written_last(bucket: MemoryBucket, drafts: list[Path]) -> None:
    written = []

    class Watching(MemoryBucket):
        def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
            written.append(key)
            return super().put(key, body, if_absent=if_absent, if_match=if_match)

    publish(Watching(), drafts[0])
    assert written[-1] == "models/price_check_CO1/manifest.json"
    assert written.count("models/price_check_CO1/manifest.json") == 1


def test_publishing_again_gives_the_same_version_even_after_staging_is_gone(
    bucket: MemoryBucket, drafts: list[Path]
) -> None:
    publish(bucket, drafts[0])
    bundle_publisher.discard_staging(bucket, "run")
    assert keys(bucket, "staging/") == []
    assert bundle_publisher.publish(bucket, "run", "CO") == "CO1"
    bundle_publisher.discard_staging(bucket, "run")


def test_publishing_what_was_archived_meanwhile_does_not_bring_it_back(
    bucket: MemoryBucket, drafts: list[Path]
) -> None:
    publish(bucket, drafts[0])
    bundle_publisher.archive(bucket, "CO1")
    assert bundle_publisher.publish(bucket, "run", "CO") == "CO1"
    assert keys(bucket, "models/") == []


def test_a_run_that_staged_nothing_publishes_nothing_and_takes_no_number(bucket: MemoryBucket) -> None:
    with pytest.raises(NotFound, match="the run unknown has staged no bundle"):
        bundle_publisher.publish(bucket, "unknown", "CO")
    assert keys(bucket, "") == []


def test_a_staged_file_that_differs_from_its_draft_is_never_published(bucket: MemoryBucket, drafts: list[Path]) -> None:
    bundle_publisher.stage(bucket, "run", drafts[0])
    bucket.put("staging/run/columns.json", b"{}")
    with pytest.raises(BundleRefused, match=r"columns.json for CO1 has 2 bytes"):
        bundle_publisher.publish(bucket, "run", "CO")
    assert bundle_reader.highest(bucket, "CO") is None
    bundle_publisher.stage(bucket, "run", drafts[0])
    assert bundle_publisher.publish(bucket, "run", "CO") == "CO1"


def test_a_damaged_draft_is_named(bucket: MemoryBucket, drafts: list[Path]) -> None:
    bundle_publisher.stage(bucket, "run", drafts[0])
    bucket.put("staging/run/draft.json", b'{"schema_version": 1}')
    with pytest.raises(BundleRefused, match=r"staging/run/draft.json: created_at: Field required"):
        bundle_publisher.publish(bucket, "run", "CO")


def test_an_attempt_that_began_with_other_content_is_replaced_while_unpublished(
    bucket: MemoryBucket, drafts: list[Path]
) -> None:
    bundle_publisher.stage(bucket, "run", drafts[0])
    with pytest.raises(Killed):
        bundle_publisher.publish(DyingBucket(bucket, 20), "run", "CO")
    assert keys(bucket, "models/")
    assert bundle_reader.highest(bucket, "CO") is None
    assert publish(bucket, drafts[1]) == "CO1"
    bundle_reader.verify(bucket, "CO1")


def test_a_published_bundle_is_not_changed_by_a_slow_attempt(bucket: MemoryBucket, drafts: list[Path]) -> None:
    """The slow attempt looked before the manifest was there; another of the same run was done before it wrote."""

    class Slow(MemoryBucket):
        def __init__(self, bucket: MemoryBucket) -> None:
            super().__init__()
            self._objects, self._lock = bucket._objects, bucket._lock

        def put(self, key: str, body: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
            if key == "models/price_check_CO1/model.onnx" and not bucket.exists("models/price_check_CO1/manifest.json"):
                publish(bucket, drafts[1])
            return super().put(key, body, if_absent=if_absent, if_match=if_match)

    bundle_publisher.stage(bucket, "run", drafts[0])
    with pytest.raises(Conflict, match="belongs to a published bundle"):
        bundle_publisher.publish(Slow(bucket), "run", "CO")
    bundle_reader.verify(bucket, "CO1")


def test_our_own_writes_that_are_answered_with_refusals_publish_all_the_same(
    bucket: MemoryBucket, drafts: list[Path]
) -> None:
    bundle_publisher.stage(bucket, "run", drafts[0])
    assert bundle_publisher.publish(LostAnswers(bucket), "run", "CO") == "CO1"
    bundle_reader.verify(bucket, "CO1")


def test_a_manifest_in_the_wrong_folder_is_refused(bucket: MemoryBucket, drafts: list[Path]) -> None:
    publish(bucket, drafts[0])
    for entry in list(bucket.list("models/price_check_CO1/")):
        bucket.copy(entry.key, entry.key.replace("CO1", "CO2"))
    with pytest.raises(BundleRefused, match="the folder of CO2 says that it is CO1"):
        bundle_reader.read_manifest(bucket, "CO2")


def test_a_missing_and_a_damaged_manifest_raise_different_errors(bucket: MemoryBucket) -> None:
    with pytest.raises(ObjectNotFound, match=r"no manifest.json of a bundle BO1"):
        bundle_reader.read_manifest(bucket, "BO1")
    bucket.put("models/price_check_BO1/manifest.json", b"{")
    with pytest.raises(BundleRefused, match=r"manifest.json of BO1: file: Invalid JSON"):
        bundle_reader.read_manifest(bucket, "BO1")


def test_fetching_gives_a_sound_folder_that_equals_the_buckets(
    bucket: MemoryBucket, drafts: list[Path], tmp_path: Path
) -> None:
    publish(bucket, drafts[0])
    folder = bundle_reader.fetch(bucket, "CO1", tmp_path / "cache")
    assert folder == tmp_path / "cache" / "price_check_CO1"
    assert Bundle.open(folder).version == "CO1"
    local = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert local == keys(bucket, "models/price_check_CO1/")
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["price_check_CO1"]


def test_a_sound_local_copy_is_used_without_the_bucket(
    bucket: MemoryBucket, drafts: list[Path], tmp_path: Path
) -> None:
    publish(bucket, drafts[0])
    bundle_reader.fetch(bucket, "CO1", tmp_path)
    assert bundle_reader.fetch(DyingBucket(bucket, 0), "CO1", tmp_path).name == "price_check_CO1"


@pytest.mark.parametrize("damage", ["truncate", "remove", "another version"])
def test_a_damaged_local_copy_is_replaced(
    bucket: MemoryBucket, drafts: list[Path], tmp_path: Path, damage: str
) -> None:
    publish(bucket, drafts[0])
    folder = bundle_reader.fetch(bucket, "CO1", tmp_path)
    if damage == "truncate":
        (folder / "model.onnx").write_bytes(b"")
    elif damage == "remove":
        (folder / "manifest.json").unlink()
    else:
        publish(bucket, drafts[1], "other")
        shutil.rmtree(folder)
        bundle_reader.fetch(bucket, "CO2", tmp_path).rename(folder)
    assert Bundle.open(bundle_reader.fetch(bucket, "CO1", tmp_path)).version == "CO1"


def test_an_altered_file_in_the_bucket_refuses_the_bundle_and_leaves_nothing_behind(
    bucket: MemoryBucket, drafts: list[Path], tmp_path: Path
) -> None:
    publish(bucket, drafts[0])
    bucket.put("models/price_check_CO1/reference.json", b"{}")
    with pytest.raises(BundleRefused, match=r"reference.json"):
        bundle_reader.fetch(bucket, "CO1", tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BundleRefused, match=r"reference.json of CO1"):
        bundle_reader.verify(bucket, "CO1")


def test_a_bundle_without_a_manifest_does_not_exist(bucket: MemoryBucket, drafts: list[Path], tmp_path: Path) -> None:
    publish(bucket, drafts[0])
    bucket.delete("models/price_check_CO1/manifest.json")
    with pytest.raises(ObjectNotFound):
        bundle_reader.fetch(bucket, "CO1", tmp_path)


def test_many_workers_fetch_into_one_folder_at_once(bucket: MemoryBucket, drafts: list[Path], tmp_path: Path) -> None:
    publish(bucket, drafts[0])
    for _ in range(5):
        (tmp_path / "price_check_CO1").mkdir()  # what a killed process might have left
        with ThreadPoolExecutor(8) as pool:
            folders = set(pool.map(lambda _: bundle_reader.fetch(bucket, "CO1", tmp_path), range(8)))
        assert folders == {tmp_path / "price_check_CO1"}
        assert Bundle.open(tmp_path / "price_check_CO1").version == "CO1"
        assert [path.name for path in tmp_path.iterdir()] == ["price_check_CO1"]
        shutil.rmtree(tmp_path / "price_check_CO1")


def test_a_place_that_cannot_be_written_is_named(bucket: MemoryBucket, drafts: list[Path], tmp_path: Path) -> None:
    publish(bucket, drafts[0])
    folder = bundle_reader.fetch(bucket, "CO1", tmp_path / "from")
    with pytest.raises(BundleRefused, match="price_check_CO2 cannot be put into"):
        bundle_reader._install(folder / "nothing-here", tmp_path / "to" / "price_check_CO2", "CO2")


def test_a_staged_draft_can_be_fetched_by_another_machine(
    bucket: MemoryBucket, drafts: list[Path], tmp_path: Path
) -> None:
    bundle_publisher.stage(bucket, "run", drafts[0])
    assert Bundle.open_draft(bundle_reader.fetch_staged(bucket, "run", tmp_path)).version == "draft"
    with pytest.raises(NotFound, match="the run other has staged no bundle"):
        bundle_reader.fetch_staged(bucket, "other", tmp_path)


def test_archiving_moves_every_file(bucket: MemoryBucket, drafts: list[Path], tmp_path: Path) -> None:
    publish(bucket, drafts[0])
    before = keys(bucket, "models/price_check_CO1/")
    bundle_publisher.archive(bucket, "CO1")
    assert keys(bucket, "archive/price_check_CO1/") == before
    assert keys(bucket, "models/") == []
    assert bundle_reader.highest(bucket, "CO") is None
    assert Bundle.open(bundle_reader.fetch(bucket, "CO1", tmp_path)).version == "CO1"
    bundle_publisher.archive(bucket, "CO1")


def test_archiving_one_candidate_leaves_its_neighbours(bucket: MemoryBucket, drafts: list[Path]) -> None:
    for number in range(1, 12):
        publish(bucket, drafts[0], f"run {number}")
    bundle_publisher.archive(bucket, "CO1")
    assert bundle_reader.published(bucket, "CO") == [f"CO{n}" for n in range(2, 12)]


def test_archiving_survives_a_kill_after_every_operation_and_no_reader_sees_half_a_candidate(
    drafts: list[Path], tmp_path: Path
) -> None:
    for operations in range(200):
        bucket = MemoryBucket()
        publish(bucket, drafts[0])
        try:
            bundle_publisher.archive(DyingBucket(bucket, operations), "CO1")
        except Killed:
            if bundle_reader.highest(bucket, "CO"):
                bundle_reader.verify(bucket, "CO1")
            elif keys(bucket, "models/"):
                assert bundle_reader.partially_archived(bucket) == ["CO1"]
            into = tmp_path / str(operations)
            assert Bundle.open(bundle_reader.fetch(bucket, "CO1", into)).version == "CO1"
            bundle_publisher.archive(bucket, "CO1")
            assert (keys(bucket, "models/"), bundle_reader.partially_archived(bucket)) == ([], [])
            bundle_reader.verify(bucket, "CO1")
            continue
        break
    assert operations > 10


def test_two_who_archive_at_once_both_come_to_an_end(drafts: list[Path]) -> None:
    bucket = MemoryBucket()
    publish(bucket, drafts[0])
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: bundle_publisher.archive(bucket, "CO1"), range(4))) == [None] * 4
    bundle_reader.verify(bucket, "CO1")


def test_a_file_that_another_has_moved_first_is_moved() -> None:
    bucket = MemoryBucket()
    bucket.put("archive/a", b"x")
    bundle_publisher._move(bucket, "models/a", "archive/a")
    with pytest.raises(ObjectNotFound):
        bundle_publisher._move(bucket, "models/b", "archive/b")


def test_production_is_not_archived_and_nothing_is_not_either(bucket: MemoryBucket, drafts: list[Path]) -> None:
    publish(bucket, drafts[0], kind="BO")
    with pytest.raises(Conflict, match="BO1 is no candidate"):
        bundle_publisher.archive(bucket, "BO1")
    with pytest.raises(NotFound, match="no candidate CO9"):
        bundle_publisher.archive(bucket, "CO9")


def test_files_that_are_being_published_are_not_taken_for_half_archived(
    bucket: MemoryBucket, drafts: list[Path]
) -> None:
    bundle_publisher.stage(bucket, "run", drafts[0])
    with pytest.raises(Killed):
        bundle_publisher.publish(DyingBucket(bucket, 20), "run", "CO")
    assert keys(bucket, "models/")
    assert bundle_reader.partially_archived(bucket) == []


def test_a_field_that_a_newer_writer_adds_to_a_manifest_is_kept_in_the_local_copy(
    bucket: MemoryBucket, drafts: list[Path], tmp_path: Path
) -> None:
    publish(bucket, drafts[0])
    key = "models/price_check_CO1/manifest.json"
    bucket.put(key, json.dumps({**json.loads(bucket.get(key).body), "new_field": 1}).encode())
    folder = bundle_reader.fetch(bucket, "CO1", tmp_path)
    assert (folder / "manifest.json").read_bytes() == bucket.get(key).body
