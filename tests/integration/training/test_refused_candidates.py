"""Candidates that a training run does not publish: one waits, one equals another, one is clearly worse."""

from __future__ import annotations

import json

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.registry import bundle_publisher, bundle_reader
from homeprices.release import promotion
from homeprices.workflows import heartbeat
from tests.integration.training.test_train_and_publish import (  # noqa: F401
    bucket,
    csv,
    kept_trainings,
    run,
    search,
    through_json,
    train,
)
from tests.support.stored import document_pattern, key_pattern, members, pinned

# ruff: noqa: F811 (fixtures)


def test_a_second_candidate_waits_and_one_that_equals_production_is_not_published(
    bucket: MemoryBucket, mlflow_uri: str
) -> None:
    for n in (1, 2):
        steps = run(bucket, mlflow_uri, f"waits:{n}")
        steps.publish_bundle(train(steps))
    assert heartbeat.last_heartbeat(bucket, "training") is None, "what was published is yet to be served"
    third = run(bucket, mlflow_uri, "waits:3")
    published = third.publish_bundle(train(third))
    assert published["version"] is None and "CO1 is on trial" in published["reason"]
    note = heartbeat.last_heartbeat(bucket, "training")
    assert note is not None and (note.outcome, note.run) == (published["reason"], "waits:3")

    bundle_publisher.republish(bucket, "CO1", owner="promote:CO1", published_by="tests")
    bundle_publisher.archive(bucket, "CO1")
    fourth = run(bucket, mlflow_uri, "waits:4")
    draft = train(fourth)
    published = fourth.publish_bundle(draft)
    assert published["version"] is None and "equal those of BO2" in published["reason"]
    assert fourth.publish_bundle(draft)["version"] is None, "a repeated step ends as well as the first"


def test_a_candidate_that_equals_one_that_lost_waits_for_new_data(bucket: MemoryBucket, mlflow_uri: str) -> None:
    for n in (1, 2):
        steps = run(bucket, mlflow_uri, f"lost:{n}")
        steps.publish_bundle(train(steps))
    promotion.roll_back(bucket, "CO1", "tests", "it lost")
    third = run(bucket, mlflow_uri, "lost:3")
    published = third.publish_bundle(train(third))
    assert published["version"] is None
    assert published["reason"] == "its estimates equal those of CO1, which has lost; it waits for new data"


def test_a_candidate_that_is_clearly_worse_than_production_is_not_published_and_the_report_says_why(
    bucket: MemoryBucket, mlflow_uri: str
) -> None:
    first = run(bucket, mlflow_uri, "gate:1", FIRST_MODEL="best")
    assert first.publish_bundle(train(first))["version"] == "BO1"
    second = run(bucket, mlflow_uri, "gate:2")
    listings = through_json(second.clean_listings(second.check_dataset()))
    draft = second.validate_bundle(second.build_bundle(listings, {"kind": "CO", "estimator": "linear"}))
    published = second.publish_bundle(draft)
    assert published["version"] is None and "it is clearly worse than BO1: on" in published["reason"]
    assert bundle_reader.published(bucket, "CO") == []
    [report] = [json.loads(bucket.get(entry.key).body) for entry in bucket.list("reports/validation/gate-gate-2")]
    assert report["why_not"] == published["reason"]
    assert 0 < report["form"]["low"] < report["form"]["difference"] < report["form"]["high"]
    [found] = search(mlflow_uri, "tags.`homeprices.key` = 'gate:2'")
    metrics = {metric["key"]: metric["value"] for metric in found["data"]["metrics"]}
    assert metrics["gate.form.low"] == pytest.approx(report["form"]["low"])
    names, keys = pinned("stored_names.json"), [entry.key for entry in bucket.list("")]
    assert {key_pattern(key) for key in keys} <= set(names["keys"])
    documents = [key for key in keys if key.startswith(("claims/", "reports/"))]
    assert {key.split("/")[1] for key in documents} > {"runs", "validation", "train_V1.json"}
    for key in documents:
        assert members(json.loads(bucket.get(key).body)) == set(names["members"][document_pattern(key)]["members"]), key
