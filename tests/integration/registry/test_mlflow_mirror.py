"""The registered model in a real MLflow follows a bucket."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import TrackingRefused, TrackingUnavailable
from homeprices.registry import bundle_reader, mlflow_mirror
from homeprices.release import control_record, promotion
from homeprices.settings import load_settings
from tests.contract.release import drafts, in_production, publish  # noqa: F401
from tests.support.bundles import make_draft


@pytest.fixture(scope="module")
def tracking(mlflow_uri: str) -> MlflowClient:
    """A client of the real MLflow server."""
    return MlflowClient(load_settings({"MLFLOW_TRACKING_URI": mlflow_uri}, ()))


def alias(tracking: MlflowClient, name: str) -> str | None:
    """The bundle that an alias stands for."""
    query = {"name": mlflow_mirror.REGISTERED_MODEL, "alias": name}
    try:
        found = tracking.call("GET", "registered-models/alias", query)["model_version"]
    except TrackingRefused:
        return None
    return next(str(tag["value"]) for tag in found["tags"] if tag["key"] == "bundle")


def registered_tags(tracking: MlflowClient) -> list[dict[str, str]]:
    return [{tag["key"]: tag["value"] for tag in item["tags"]} for item in _versions(tracking)]


def registered(tracking: MlflowClient) -> dict[str, str]:
    found = _versions(tracking)
    return {next(t["value"] for t in item["tags"] if t["key"] == "bundle"): item["source"] for item in found}


def _versions(tracking: MlflowClient) -> list[dict[str, Any]]:
    query = {"filter": f"name='{mlflow_mirror.REGISTERED_MODEL}'"}
    return list(tracking.pages("model-versions/search", query, "model_versions"))


def test_the_registry_follows_a_release_from_the_first_model_to_a_revert(
    tracking: MlflowClient,
    drafts: list[Path],  # noqa: F811
) -> None:
    bucket = MemoryBucket("homeprices")
    assert mlflow_mirror.sync_registered_model(tracking, bucket) == {"production": None, "candidate": None}

    publish(bucket, drafts[0], "one", "BO")
    publish(bucket, drafts[1], "two", "CO")
    control_record.start_experiment(bucket, "BO1", "CO1", 20, "test")
    for _ in range(2):
        assert mlflow_mirror.sync_registered_model(tracking, bucket) == {"production": "BO1", "candidate": "CO1"}
    assert registered(tracking) == {
        "BO1": "s3://homeprices/models/price_check_BO1",
        "CO1": "s3://homeprices/models/price_check_CO1",
    }

    [first] = [tags for tags in registered_tags(tracking) if tags["bundle"] == "BO1"]
    assert first["signature"].startswith("total_sqft: number, location: text")
    assert first["holdout.median_ape"] == "0.2", "no run has it"

    promotion.promote(bucket, "CO1", in_production, "test", "better")
    mlflow_mirror.sync_registered_model(tracking, bucket)
    assert (alias(tracking, "production"), alias(tracking, "candidate")) == ("BO2", None)

    promotion.revert(bucket, "BO1", in_production, "test", "BO2 is bad")
    mlflow_mirror.sync_registered_model(tracking, bucket)
    assert (alias(tracking, "production"), bundle_reader.highest(bucket, "BO")) == ("BO3", "BO3")
    assert sorted(registered(tracking)) == ["BO1", "BO2", "BO3", "CO1"]


def test_a_bundle_is_registered_with_what_it_was_made_of_and_the_run_that_made_it(
    tracking: MlflowClient, tmp_path: Path
) -> None:
    bucket = MemoryBucket()
    publish(bucket, make_draft(tmp_path / "draft"), "one", "CO")
    run_id = tracking.parent_run("the run that made it")
    manifest = bundle_reader.read_manifest(bucket, "CO1").model_copy(
        update={"mlflow_run_id": run_id, "version": "CO77"}
    )
    number = mlflow_mirror.register_bundle(tracking, manifest, "s3://memory/models/price_check_CO77", "a: text -> b")
    query = {"name": mlflow_mirror.REGISTERED_MODEL, "version": number}
    found = tracking.call("GET", "model-versions/get", query)["model_version"]
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    assert found["run_id"] == run_id
    assert (tags["bundle"], tags["dataset"], tags["estimator"]) == ("CO77", "train_V1", "test_formula")
    assert ("holdout.median_ape" in tags, tags["signature"]) == (False, "a: text -> b"), "the run has the metrics"
    error = "Median error on the hold-out: 20.0% from the form's fields."
    assert found["description"] == f"CO77: test_formula on train_V1. {error}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", mlflow_mirror.DESCRIPTION),
        (mlflow_mirror.EARLIER_DESCRIPTION, mlflow_mirror.DESCRIPTION),
        ("Our model. Ask Asha.", "Our model. Ask Asha."),
    ],
)
def test_the_registered_model_is_described_and_a_description_by_a_person_stays(
    tracking: MlflowClient, before: str, after: str
) -> None:
    mlflow_mirror.sync_registered_model(tracking, MemoryBucket())
    model = {"name": mlflow_mirror.REGISTERED_MODEL}
    tracking.call("PATCH", "registered-models/update", {**model, "description": before})
    mlflow_mirror.sync_registered_model(tracking, MemoryBucket())
    assert tracking.call("GET", "registered-models/get", model)["registered_model"]["description"] == after


def test_a_registry_that_is_away_is_said_to_be() -> None:
    away = MlflowClient(load_settings({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, ()))
    with pytest.raises(TrackingUnavailable):
        mlflow_mirror.sync_registered_model(away, MemoryBucket())


def test_refusals_other_than_the_expected_ones_are_raised(tracking: MlflowClient) -> None:
    with pytest.raises(TrackingRefused):
        mlflow_mirror._set_alias(tracking, "production", "999999")
    with pytest.raises(TrackingRefused):
        mlflow_mirror._set_alias(tracking, "not/allowed?", None)


# What people do in MLflow's pages.


@pytest.fixture
def released(tracking: MlflowClient, drafts: list[Path]) -> MemoryBucket:  # noqa: F811
    """A bucket with BO1 in production and CO1 on trial, registered under a model that is empty otherwise."""
    try:
        tracking.call("DELETE", "registered-models/delete", {"name": mlflow_mirror.REGISTERED_MODEL})
    except TrackingRefused:
        assert _versions(tracking) == []
    bucket = MemoryBucket("homeprices")
    publish(bucket, drafts[0], "one", "BO")
    mlflow_mirror.sync_registered_model(tracking, bucket, new="BO1")
    publish(bucket, drafts[1], "two", "CO")
    control_record.start_experiment(bucket, "BO1", "CO1", 20, "test")
    mlflow_mirror.sync_registered_model(tracking, bucket, new="CO1")
    return bucket


def delete_model(tracking: MlflowClient) -> None:
    tracking.call("DELETE", "registered-models/delete", {"name": mlflow_mirror.REGISTERED_MODEL})


def rename_model(tracking: MlflowClient) -> None:
    change = {"name": mlflow_mirror.REGISTERED_MODEL, "new_name": f"mine {secrets.token_hex(4)}"}
    tracking.call("POST", "registered-models/rename", change)


def delete_version(tracking: MlflowClient) -> None:
    delete_alias(tracking)
    name = {"name": mlflow_mirror.REGISTERED_MODEL}
    tracking.call("DELETE", "model-versions/delete", {**name, "version": number_of(tracking, "BO1")})


def delete_alias(tracking: MlflowClient) -> None:
    name = {"name": mlflow_mirror.REGISTERED_MODEL, "alias": "production"}
    tracking.call("DELETE", "registered-models/alias", name)


def move_alias(tracking: MlflowClient) -> None:
    name = {"name": mlflow_mirror.REGISTERED_MODEL, "alias": "production"}
    tracking.call("POST", "registered-models/alias", {**name, "version": number_of(tracking, "CO1")})


def delete_tag(tracking: MlflowClient) -> None:
    name = {"name": mlflow_mirror.REGISTERED_MODEL, "key": "bundle"}
    tracking.call("DELETE", "model-versions/delete-tag", {**name, "version": number_of(tracking, "BO1")})


def number_of(tracking: MlflowClient, bundle: str) -> str:
    return next(str(item["version"]) for item in _versions(tracking) if item["source"].endswith(f"_{bundle}"))


@pytest.mark.parametrize(
    ("click", "said"),
    [
        (delete_model, ["MLflow had no version of BO1", "no version of CO1", "alias production was gone. It is BO1"]),
        (rename_model, ["MLflow had no version of BO1", "no version of CO1", "alias candidate was gone. It is CO1"]),
        (delete_version, ["MLflow had no version of BO1", "alias production was gone. It is BO1"]),
        (delete_alias, ["alias production was gone. It is BO1"]),
        (move_alias, [r"alias production was version \d+. It is BO1"]),
        (delete_tag, []),
    ],
)
def test_the_next_sync_restores_what_somebody_changed_and_the_next_run_says_so(
    tracking: MlflowClient,
    mlflow_uri: str,
    released: MemoryBucket,
    click: Callable[[MlflowClient], None],
    said: list[str],
) -> None:
    click(tracking)
    later = MlflowClient(load_settings({"MLFLOW_TRACKING_URI": mlflow_uri}, ()))
    for _ in range(2):
        assert mlflow_mirror.sync_registered_model(later, released) == {"production": "BO1", "candidate": "CO1"}
    assert sorted(item["source"][-3:] for item in _versions(tracking)) == ["BO1", "CO1"]
    if click is not delete_tag:
        assert (alias(tracking, "production"), alias(tracking, "candidate")) == ("BO1", "CO1")
    run = later.call("GET", "runs/get", {"run_id": later.parent_run(f"after {secrets.token_hex(4)}")})["run"]
    text = next((tag["value"] for tag in run["data"]["tags"] if tag["key"] == "homeprices.restored"), "")
    for sentence in said:
        assert re.search(sentence, text)
    assert text.count("MLflow") == len({sentence for sentence in text.split("MLflow") if sentence})
    assert bool(text) == bool(said)


def test_an_ordinary_release_restores_nothing(tracking: MlflowClient, mlflow_uri: str, released: MemoryBucket) -> None:
    later = MlflowClient(load_settings({"MLFLOW_TRACKING_URI": mlflow_uri}, ()))
    version = promotion.promote(released, "CO1", in_production, "test", "better")
    mlflow_mirror.sync_registered_model(later, released, new=version)
    run = later.call("GET", "runs/get", {"run_id": later.parent_run("ordinary")})["run"]
    assert "homeprices.restored" not in [tag["key"] for tag in run["data"]["tags"]]


def test_a_bundle_whose_run_is_gone_for_good_is_registered_without_it(tracking: MlflowClient, tmp_path: Path) -> None:
    bucket = MemoryBucket()
    publish(bucket, make_draft(tmp_path / "draft"), "one", "CO")
    manifest = bundle_reader.read_manifest(bucket, "CO1").model_copy(
        update={"mlflow_run_id": "0" * 32, "version": "CO78"}
    )
    mlflow_mirror.register_bundle(tracking, manifest, "s3://memory/models/price_check_CO78", "a: text -> b")
    assert "s3://memory/models/price_check_CO78" in [item["source"] for item in _versions(tracking)]
