"""Folders that somebody makes by hand under `models/` are ignored, and named."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from homeprices.adapters.object_store import MemoryBucket
from homeprices.registry import bundle_publisher, bundle_reader
from homeprices.release import control_record, promotion
from homeprices.resources import Resources
from homeprices.settings import load_settings
from homeprices.workflows.status import release_status
from homeprices.workflows.train_and_publish import TrainingRun
from monitoring.exporter.bucket_collector import BucketCollector
from tests.contract.release import drafts, in_production, publish  # noqa: F401

FOREIGN = [
    "models/BO2 copy",
    "models/notes.txt",
    "models/price_check_BO1 copy",
    "models/price_check_BO7",
    "models/price_check_BO999",
    "models/price_check_CO1 (2)",
    "models/price_check_CO5",
    "models/test",
]


@pytest.fixture
def bucket(drafts: list[Path]) -> MemoryBucket:  # noqa: F811
    """BO1 in production and CO1 on trial, and beside them what a person has made."""
    made = MemoryBucket()
    publish(made, drafts[0], "first", "BO")
    publish(made, drafts[1], "second", "CO")
    control_record.start_experiment(made, "BO1", "CO1", 20, "test")
    for source, targets in {
        "models/price_check_BO1/": ("models/price_check_BO1 copy/", "models/price_check_BO7/", "models/BO2 copy/"),
        "models/price_check_CO1/": (
            "models/price_check_CO5/",
            "models/price_check_CO1 (2)/",
            "archive/price_check_CO1 copy/",
        ),
    }.items():
        for entry in list(made.list(source)):
            for target in targets:
                made.copy(entry.key, target + entry.key.removeprefix(source))
    for key in ("models/test/model.onnx", "models/price_check_BO999/model.onnx", "models/notes.txt"):
        made.put(key, b"by hand")
    return made


def test_readers_see_the_pipeline_s_own_bundles_only_and_name_the_others(bucket: MemoryBucket) -> None:
    assert bundle_reader.published(bucket, "BO") == ["BO1"]
    assert bundle_reader.published(bucket, "CO") == ["CO1"]
    assert bundle_reader.ignored_folders(bucket) == FOREIGN
    bundle_publisher.claim(bucket, "BO", "somebody who is writing")
    assert bundle_reader.ignored_folders(bucket) == FOREIGN


def test_a_release_goes_through_beside_them(bucket: MemoryBucket, drafts: list[Path]) -> None:  # noqa: F811
    assert promotion.resume_interrupted(bucket, "test") == []
    promoted = promotion.promote(bucket, "CO1", in_production, "test", "better")
    assert bundle_reader.highest(bucket, "BO") == promoted
    assert bundle_reader.published(bucket, "CO") == []
    third = publish(bucket, drafts[2], "third", "CO")
    assert bundle_reader.highest(bucket, "CO") == third
    promotion.roll_back(bucket, third, "test", "worse")
    assert promotion.rejected_bundles(bucket) == [third]
    assert promotion.resume_interrupted(bucket, "test") == []
    assert bundle_reader.ignored_folders(bucket) == FOREIGN


def test_the_training_run_names_them_in_its_log_and_the_status_shows_them(bucket: MemoryBucket) -> None:
    resources = Resources(load_settings({"HOMEPRICES_PRODUCTION_URLS": "http://127.0.0.1:9"}, ()), bucket)
    with capture_logs() as logs, pytest.raises(Exception, match="there is no dataset yet"):
        TrainingRun(resources, "run").check_dataset()
    assert {
        "event": "bucket_folders_ignored",
        "folders": FOREIGN,
        "number": len(FOREIGN),
        "log_level": "warning",
    } in logs
    assert f"ignored      {len(FOREIGN)} folders that are no bundles: {', '.join(FOREIGN)}" in release_status(resources)


def test_the_exporter_goes_on_beside_them(bucket: MemoryBucket) -> None:
    numbers = {
        s.labels["variant"]: s.value for s in BucketCollector(bucket).collect() if s.name == "homeprices_bundle_number"
    }
    assert numbers == {"production": 1, "candidate": 1}
