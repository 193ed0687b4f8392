"""What releases must keep true on every kind of bucket. A subclass provides the fixture `bucket`, empty each time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from homeprices.adapters.object_store import Bucket, RangedBucket
from homeprices.errors import Conflict, PreconditionFailed
from homeprices.names import BundleKind
from homeprices.pricing.bundle import MODEL_FILE
from homeprices.pricing.manifest import Manifest
from homeprices.registry import bundle_publisher, bundle_reader, regional_record
from homeprices.release import candidate_queue, control_record, experiment_record, promotion
from tests.contract.bucket import at_once
from tests.support.bundles import make_draft
from tests.support.faulty_bucket import DyingBucket, Killed, LostAnswers, OvertakenBucket


@pytest.fixture(scope="module")
def drafts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three drafts whose models differ."""
    root = tmp_path_factory.mktemp("drafts")
    return [make_draft(root / str(factor), factor) for factor in (1.0, 1.1, 1.2)]


def publish(bucket: Bucket, draft: Path, run_id: str, kind: BundleKind) -> str:
    bundle_publisher.stage(bucket, run_id, draft)
    version = bundle_publisher.publish(bucket, run_id, kind)
    bundle_publisher.discard_staging(bucket, run_id)
    return version


def wait_in_queue(bucket: Bucket, draft: Path, run_id: str) -> str:
    """Publish a candidate that waits for the slot, and return its version."""
    bundle_publisher.stage(bucket, run_id, draft)
    version = bundle_publisher.publish(bucket, run_id, "CO", waits=True)
    bundle_publisher.discard_staging(bucket, run_id)
    return version


def start_trial(bucket: Bucket, drafts: list[Path]) -> None:
    """BO1 in production, CO1 on trial."""
    publish(bucket, drafts[0], "first", "BO")
    publish(bucket, drafts[1], "second", "CO")
    control_record.start_experiment(bucket, "BO1", "CO1", 20, "test")


def in_production(_version: str) -> None:
    """A production that serves whatever it is asked for at once."""


def tree(bucket: Bucket) -> dict[str, str]:
    return {entry.key: hashlib.sha256(bucket.get(entry.key).body).hexdigest() for entry in bucket.list("")}


def empty(bucket: Bucket) -> None:
    for entry in bucket.list(""):
        bucket.delete(entry.key)


def assert_consistent(bucket: Bucket) -> None:
    """Every bundle that a reader can see is whole, no candidate is in two places, and no number was given twice."""
    seen = set()
    for entry in bucket.list(""):
        place, _, rest = entry.key.partition("/")
        if place in ("models", "archive") and rest.endswith(("/manifest.json", "/waiting.json")):
            manifest = Manifest.model_validate_json(bucket.get(entry.key).body)
            names = ("manifest.json", "waiting.json") if place == "models" else ("manifest.json",)
            assert rest in {f"price_check_{manifest.version}/{name}" for name in names}
            assert manifest.version not in seen
            seen.add(manifest.version)
            for name, expected in manifest.files.items():
                body = bucket.get(f"{place}/price_check_{manifest.version}/{name}").body
                assert hashlib.sha256(body).hexdigest() == expected.sha256
            assert bucket.exists(f"claims/{manifest.version}.json")
    record = control_record.read(bucket)
    assert record.candidate is None or bucket.exists(f"models/price_check_{record.candidate}/manifest.json")


TestedBucket = TypeVar("TestedBucket", bound=RangedBucket)


def survive_every_kill(
    bucket: TestedBucket,
    prepare: Callable[[TestedBucket], None],
    act: Callable[[Bucket], object],
    check: Callable[[TestedBucket], None],
    every: int = 1,
) -> None:
    """Kill `act` after 0, `every`, 2 x `every`, ... operations, run it again to its end, and check."""
    for operations in range(0, 10_000, every):
        empty(bucket)
        prepare(bucket)
        try:
            act(DyingBucket(bucket, operations))
        except Killed:
            act(bucket)
            assert_consistent(bucket)
            check(bucket)
            continue
        assert operations > 0, "nothing was done, so nothing was shown"
        return
    raise AssertionError("it never came to its end")


class ReleaseContract:
    kill_every = 1
    """After how many operations more the next kill comes: 1 where operations are quick."""

    def test_many_owners_at_once_never_share_a_number(self, bucket: Bucket) -> None:
        claimed = at_once(lambda n: bundle_publisher.claim(bucket, "CO", f"owner {n}"))
        assert sorted(map(str, claimed)) == sorted(f"CO{n}" for n in range(1, 9))
        again = at_once(lambda n: bundle_publisher.claim(bucket, "CO", f"owner {n}"))
        assert again == claimed

    def test_one_owner_in_many_processes_gets_one_number(self, bucket: Bucket) -> None:
        assert len(set(map(str, at_once(lambda n: bundle_publisher.claim(bucket, "BO", "the same"))))) == 1
        assert len(list(bucket.list("claims/BO"))) == 1

    def test_an_answer_that_is_lost_costs_no_number(self, bucket: Bucket) -> None:
        assert bundle_publisher.claim(LostAnswers(bucket), "BO", "mine") == "BO1"
        assert bundle_publisher.claim(bucket, "BO", "other") == "BO2"

    def test_changes_of_the_control_record_at_once_are_all_applied(self, bucket: Bucket) -> None:
        def step(record: experiment_record.ControlRecord) -> experiment_record.ControlRecord:
            return record.model_copy(update={"epoch": record.epoch + 1})

        results = at_once(lambda n: control_record.change(bucket, step, f"writer {n}", "count"), 4)
        assert not [r for r in results if isinstance(r, Exception)], results
        assert control_record.read(bucket).epoch == 4

    def test_two_trainings_at_once_end_in_two_whole_bundles_and_one_candidate_on_trial(
        self, bucket: Bucket, drafts: list[Path]
    ) -> None:
        publish(bucket, drafts[0], "first", "BO")
        assert sorted(map(str, at_once(lambda n: publish(bucket, drafts[n + 1], f"run {n}", "CO"), 2))) == [
            "CO1",
            "CO2",
        ]
        started = at_once(lambda n: control_record.start_experiment(bucket, "BO1", f"CO{n + 1}", 20, "test"), 2)
        assert len([s for s in started if isinstance(s, Conflict)]) == 1, started
        on_trial = control_record.read(bucket).candidate
        promotion.resume_interrupted(bucket, "test")
        assert bundle_reader.published(bucket, "CO") == [on_trial]
        assert_consistent(bucket)

    def test_of_two_publishers_one_gets_the_slot_and_the_other_waits_whenever_one_overtakes_the_other(
        self, bucket: RangedBucket, drafts: list[Path]
    ) -> None:
        def go(through: Bucket, number: int) -> str | None:
            version = wait_in_queue(through, drafts[number], f"run {number}")
            return candidate_queue.take(through, version, f"run {number}", "it came")

        for operations in range(0, 10_000, self.kill_every):
            empty(bucket)
            publish(bucket, drafts[0], "first", "BO")
            slow = OvertakenBucket(bucket, operations, lambda: go(bucket, 2))
            taken = go(slow, 1)
            published = bundle_reader.published(bucket, "CO")
            assert published == [taken] == [candidate_queue.holder(bucket)], f"overtaken after {operations} operations"
            assert promotion.resume_interrupted(bucket, "next run") == []
            if slow.overtaken:
                assert sorted([*published, *candidate_queue.waiting(bucket)]) == ["CO1", "CO2"]
            assert_consistent(bucket)
            if not slow.overtaken:
                assert operations > 10, "nothing was done, so nothing was shown"
                return
        raise AssertionError("it never came to its end")

    def test_two_promotions_at_once_make_one_production_bundle(self, bucket: Bucket, drafts: list[Path]) -> None:
        start_trial(bucket, drafts)
        results = at_once(lambda n: promotion.promote(bucket, "CO1", in_production, f"actor {n}", "better"), 4)
        assert results == ["BO2"] * 4
        assert bundle_reader.published(bucket, "BO") == ["BO1", "BO2"]
        assert_consistent(bucket)

    def test_a_promotion_that_another_overtakes_after_any_operation_ends_as_the_other_does(
        self, bucket: RangedBucket, drafts: list[Path]
    ) -> None:
        def promote(through: Bucket, actor: str) -> str:
            return promotion.promote(through, "CO1", in_production, actor, "better")

        for operations in range(0, 10_000, self.kill_every):
            empty(bucket)
            start_trial(bucket, drafts)
            slow = OvertakenBucket(bucket, operations, lambda: promote(bucket, "quick"))
            assert promote(slow, "slow") == "BO2", f"overtaken after {operations} operations"
            assert bundle_reader.published(bucket, "BO") == ["BO1", "BO2"]
            assert_consistent(bucket)
            if not slow.overtaken:
                assert operations > 0, "nothing was done, so nothing was shown"
                return
        raise AssertionError("it never came to its end")

    def test_of_a_promotion_and_a_rollback_at_once_one_is_refused(self, bucket: Bucket, drafts: list[Path]) -> None:
        start_trial(bucket, drafts)
        actions: list[Callable[[], object]] = [
            lambda: promotion.promote(bucket, "CO1", in_production, "a", "better"),
            lambda: promotion.roll_back(bucket, "CO1", "b", "worse"),
        ]
        results = at_once(lambda n: actions[n](), 2)
        refused = [n for n, result in enumerate(results) if isinstance(result, Conflict)]
        assert len(refused) == 1, results
        assert bundle_reader.highest(bucket, "BO") == ("BO1" if refused == [0] else "BO2")
        assert bundle_reader.highest(bucket, "CO") is None
        assert_consistent(bucket)

    def test_stage_and_publish_survive_a_kill_after_every_operation(
        self, bucket: RangedBucket, drafts: list[Path]
    ) -> None:
        def check(bucket: Bucket) -> None:
            assert bundle_reader.published(bucket, "CO") == ["CO1"]
            assert [e.key for e in bucket.list("claims/")] == ["claims/CO1.json"]
            assert list(bucket.list("staging/")) == []
            assert bundle_publisher.claim(bucket, "CO", "another") == "CO2"

        survive_every_kill(bucket, lambda _: None, lambda b: publish(b, drafts[0], "run", "CO"), check, self.kill_every)

    def test_a_promotion_survives_a_kill_after_every_operation(self, bucket: RangedBucket, drafts: list[Path]) -> None:
        def check(bucket: Bucket) -> None:
            assert bundle_reader.published(bucket, "BO") == ["BO1", "BO2"]
            assert bundle_reader.highest(bucket, "CO") is None
            record = control_record.read(bucket)
            assert (record.state, record.production, record.share, record.epoch) == ("idle", "BO2", 0, 2)
            assert list(bucket.list("models/price_check_CO")) == []
            promoted = bundle_reader.read_manifest(bucket, "BO2")
            assert promoted.promoted_from == "CO1"
            assert promoted.files == bundle_reader.read_manifest(bucket, "CO1").files
            assert promoted.files[MODEL_FILE] != bundle_reader.read_manifest(bucket, "BO1").files[MODEL_FILE]

        survive_every_kill(
            bucket,
            lambda b: start_trial(b, drafts),
            lambda b: promotion.promote(b, "CO1", in_production, "test", "better"),
            check,
            self.kill_every,
        )

    def test_a_regional_promotion_survives_a_kill_after_every_operation(
        self, bucket: RangedBucket, drafts: list[Path]
    ) -> None:
        def check(bucket: Bucket) -> None:
            assert bundle_reader.published(bucket, "RO") == ["RO1"]
            assert (bundle_reader.published(bucket, "BO"), bundle_reader.highest(bucket, "CO")) == (["BO1"], None)
            assert regional_record.read(bucket).version_by_place == {"whitefield": "RO1"}
            record = control_record.read(bucket)
            assert (record.state, record.production, record.places) == ("idle", "BO1", ())
            assert list(bucket.list("models/price_check_CO")) == []

        def promote(bucket: Bucket) -> object:
            return promotion.promote(bucket, "CO1", in_production, "test", "better", places=("whitefield",))

        survive_every_kill(bucket, lambda b: start_trial(b, drafts), promote, check, self.kill_every)

    def test_a_regional_bundle_is_taken_back_whatever_kills_it(self, bucket: RangedBucket, drafts: list[Path]) -> None:
        def prepare(bucket: Bucket) -> None:
            start_trial(bucket, drafts)
            promotion.promote(bucket, "CO1", in_production, "test", "better", places=("whitefield",))
            publish(bucket, drafts[2], "third", "CO")
            control_record.start_experiment(bucket, "BO1", "CO2", 20, "test")
            assert control_record.read(bucket).regional == ("RO1",)

        def check(bucket: Bucket) -> None:
            assert regional_record.read(bucket).versions == ()
            record = control_record.read(bucket)
            assert (record.state, record.candidate, record.regional, len(record.epochs)) == ("running", "CO2", (), 1)

        def take_back(bucket: Bucket) -> object:
            return promotion.take_back(bucket, "RO1", in_production, "test", "it does harm")

        survive_every_kill(bucket, prepare, take_back, check, self.kill_every)

    def test_regional_bundles_that_are_promoted_and_ended_at_once_are_all_recorded(self, bucket: Bucket) -> None:
        def change(number: int) -> object:
            if number == 0:
                return regional_record.end(bucket, "RO9", "person:asha", "harm")
            return regional_record.add(bucket, f"RO{number}", (f"place {number}",), "BO1", "test", "better")

        regional_record.add(bucket, "RO9", ("whitefield",), "BO1", "test", "better")
        results = at_once(change, 3)
        assert not [result for result in results if isinstance(result, Exception)], results
        assert set(regional_record.read(bucket).versions) == {"RO1", "RO2"}

    def test_a_put_that_is_refused_leaves_the_other_writers_object(self, bucket: Bucket, drafts: list[Path]) -> None:
        start_trial(bucket, drafts)
        before = tree(bucket)
        with pytest.raises(PreconditionFailed):
            bucket.put("models/price_check_BO1/manifest.json", b"{}", if_absent=True)
        assert tree(bucket) == before
