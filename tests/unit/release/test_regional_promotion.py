"""Promotions for some places, and how they end. Kills after every operation are in tests/contract/release.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import Conflict, HomePricesError, NotFound, NotReady
from homeprices.registry import bundle_reader, regional_record
from homeprices.registry.versions import REGIONS_KEY
from homeprices.release import control_record, promotion
from monitoring.exporter.bucket_collector import BucketCollector
from tests.contract.release import assert_consistent, in_production, publish, start_trial
from tests.support.factories import Clock

EAST = ("indira nagar", "whitefield")


@pytest.fixture
def trial(bucket: MemoryBucket, drafts: list[Path]) -> MemoryBucket:
    """BO1 in production, CO1 on trial in the east."""
    start_trial(bucket, drafts)
    control_record.set_share(bucket, 20, "test", places=EAST)
    return bucket


def promote(bucket: MemoryBucket, candidate: str = "CO1", places: tuple[str, ...] = EAST) -> str:
    return promotion.promote(bucket, candidate, in_production, "evaluation", "better there", places=places)


def next_trial(bucket: MemoryBucket, draft: Path, candidate: str, production: str = "BO1") -> None:
    assert publish(bucket, draft, f"run of {candidate}", "CO") == candidate
    control_record.start_experiment(bucket, production, candidate, 20, "test")


def test_a_candidate_is_promoted_for_the_places_of_its_trial(trial: MemoryBucket, clock: Clock) -> None:
    waited: list[str] = []
    version = promotion.promote(trial, "CO1", waited.append, "evaluation", "better", places=EAST, clock=clock)
    assert (version, waited) == ("RO1", ["RO1"])
    manifest = bundle_reader.read_manifest(trial, "RO1")
    assert (manifest.kind, manifest.promoted_from) == ("RO", "CO1")
    record = regional_record.read(trial)
    assert (record.updated_by, record.reason, record.updated_at) == ("evaluation", "better", clock.now)
    [bundle] = record.in_production
    assert (bundle.version, bundle.places, bundle.over, bundle.since) == ("RO1", EAST, "BO1", clock.now)
    control = control_record.read(trial)
    assert (control.state, control.production, control.places) == ("idle", "BO1", ())
    assert bundle_reader.highest(trial, "BO") == "BO1"
    assert bundle_reader.highest(trial, "CO") is None
    assert_consistent(trial)


def test_a_repeated_promotion_keeps_the_places_of_the_first_and_brings_back_nothing(trial: MemoryBucket) -> None:
    promote(trial)
    assert promote(trial, places=()) == "RO1"
    promotion.take_back(trial, "RO1", in_production, "person:asha", "it does harm")

    def never(version: str) -> None:
        raise NotReady(version)

    assert promotion.promote(trial, "CO1", never, "evaluation", "better", places=EAST) == "RO1"
    assert regional_record.read(trial).versions == ()
    assert bundle_reader.published(trial, "RO") == ["RO1"]


def test_an_experiment_beside_a_regional_bundle_names_it_and_begins_again_when_it_goes(
    trial: MemoryBucket, drafts: list[Path]
) -> None:
    promote(trial)
    next_trial(trial, drafts[2], "CO2")
    before = control_record.read(trial)
    assert before.regional == ("RO1",)
    assert control_record.set_share(trial, 30, "test", places=("hebbal",)).regional == ("RO1",)
    assert promotion.take_back(trial, "RO1", in_production, "person:asha", "it does harm") == "BO1"
    after = control_record.read(trial)
    assert (after.experiment, after.regional, after.salt, after.places) == ("BO1-CO2", (), before.salt, ("hebbal",))
    assert [epoch.epoch for epoch in after.epochs] == [after.epoch] == [before.epoch + 2]
    promotion.take_back(trial, "RO1", in_production, "person:asha", "it does harm")
    assert control_record.read(trial) == after


def test_a_promotion_for_the_whole_city_ends_the_regional_bundles_and_its_revert_returns_them(
    trial: MemoryBucket, drafts: list[Path]
) -> None:
    promote(trial)
    next_trial(trial, drafts[2], "CO2")
    assert promote(trial, "CO2", places=()) == "BO2"
    assert regional_record.read(trial).versions == ()
    [ended] = regional_record.read(trial).bundles
    assert ended.ended_by == "BO2"
    assert promotion.revert(trial, "BO1", in_production, "watch", "harm") == "BO3"
    assert regional_record.read(trial).versions == ("RO1",)
    promote(trial, "CO2", places=())  # a late repetition of what was taken back
    assert regional_record.read(trial).versions == ("RO1",)
    assert "RO1" not in promotion.rejected_bundles(trial)


def test_the_return_of_an_older_bundle_returns_no_regional_one(trial: MemoryBucket, drafts: list[Path]) -> None:
    publish(trial, drafts[2], "second production", "BO")
    promote(trial)
    assert regional_record.read(trial).bundles[0].over == "BO2"
    next_trial(trial, drafts[0], "CO2", "BO2")
    assert promote(trial, "CO2", places=()) == "BO3"
    promotion.revert(trial, "BO1", in_production, "person:asha", "the oldest was the best")
    assert regional_record.read(trial).versions == ()


def test_what_was_taken_back_is_compared_with_new_candidates(trial: MemoryBucket) -> None:
    promote(trial)
    assert promotion.rejected_bundles(trial) == []
    promotion.take_back(trial, "RO1", in_production, "person:BO1", "it does harm")
    assert promotion.rejected_bundles(trial) == ["RO1"]
    with pytest.raises(NotFound, match="RO7 is no regional bundle"):
        promotion.take_back(trial, "RO7", in_production, "person:asha", "x")


def test_there_is_room_for_three_and_the_newest_has_a_place_that_several_name(bucket: MemoryBucket) -> None:
    def add(number: int, *places: str) -> None:
        regional_record.add(bucket, f"RO{number}", places, "BO1", "test", "better")

    add(1, "whitefield", "hebbal")
    add(2, "whitefield")
    add(3, "jayanagar")
    assert regional_record.read(bucket).version_by_place == {"whitefield": "RO2", "hebbal": "RO1", "jayanagar": "RO3"}
    with pytest.raises(Conflict, match=r"3 regional bundles are in production \(RO1, RO2, RO3\)"):
        regional_record.require_room(bucket, ("hebbal",))
    with pytest.raises(Conflict, match="take one back first"):
        add(4, "hebbal")
    add(4, "whitefield", "btm layout")  # it has every place of RO2, which leaves
    assert regional_record.read(bucket).versions == ("RO1", "RO3", "RO4")
    regional_record.end(bucket, "RO4", "watch", "harm")
    assert regional_record.read(bucket).versions == ("RO1", "RO2", "RO3")
    assert regional_record.taken_back(regional_record.read(bucket)) == ["RO4"]


def test_no_more_than_three_return(bucket: MemoryBucket) -> None:
    def add(number: int, *places: str, over: str = "BO1") -> None:
        regional_record.add(bucket, f"RO{number}", places, over, "test", "better")

    for number in (1, 2, 3):
        add(number, f"place {number}")
    regional_record.end_before(bucket, "BO2", "test", "better everywhere")
    add(4, "place 4", over="BO2")
    regional_record.restore(bucket, "BO2", "watch", "harm")
    assert regional_record.read(bucket).versions == ("RO2", "RO3", "RO4")
    add(5, "place 2", "place 3")
    add(6, "place 6")
    assert regional_record.read(bucket).versions == ("RO4", "RO5", "RO6")
    regional_record.end(bucket, "RO5", "watch", "harm")
    assert regional_record.read(bucket).versions == ("RO3", "RO4", "RO6")


def test_the_record_keeps_its_newest_entries(bucket: MemoryBucket) -> None:
    for number in range(1, 30):
        regional_record.add(bucket, f"RO{number}", ("whitefield",), "BO1", "test", "better")
        regional_record.end(bucket, f"RO{number}", "person:asha", "harm")
    regional_record.add(bucket, "RO30", ("whitefield",), "BO1", "test", "better")
    record = regional_record.read(bucket)
    assert len(record.bundles) == regional_record.KEPT
    assert (record.bundles[0].version, record.versions) == ("RO11", ("RO30",))


def test_a_damaged_record_is_an_error_that_names_it(bucket: MemoryBucket) -> None:
    bucket.put(REGIONS_KEY, b'{"bundles": [{"version": "BO1"}]}')
    with pytest.raises(HomePricesError, match=r"models/regions\.json is no regional record"):
        regional_record.read(bucket)


def test_a_promotion_without_room_decides_nothing(trial: MemoryBucket) -> None:
    for number in (7, 8, 9):
        regional_record.add(trial, f"RO{number}", (f"place {number}",), "BO1", "test", "better")
    with pytest.raises(Conflict, match="take one back first"):
        promote(trial)
    assert promotion.outcome_of(trial, "CO1") is None
    promotion.roll_back(trial, "CO1", "person:asha", "there is no room")


def test_the_metric_has_the_places_of_each_bundle_and_a_series_without_one(trial: MemoryBucket) -> None:
    def exported() -> dict[str, float]:
        found = [one for one in BucketCollector(trial).collect() if one.name == "homeprices_regional_places"]
        return {one.labels["version"]: one.value for one in found}

    assert exported() == {"none": 0}
    promote(trial)
    assert exported() == {"RO1": 2}
