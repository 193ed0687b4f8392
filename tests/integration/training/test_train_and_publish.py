"""A training run from dataset to published bundle, with a real MLflow, step by step and repeated."""

from __future__ import annotations

import contextlib
import json
import secrets
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from homeprices.adapters.mlflow_client import EXPERIMENT, MlflowClient
from homeprices.adapters.object_store import MemoryBucket
from homeprices.cli import homeprices
from homeprices.data import synthetic
from homeprices.errors import InvalidInput, NotFound, PublicationRefused, TrackingRefused
from homeprices.model.estimators import ESTIMATORS
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.predictor import Predictor
from homeprices.registry import bundle_reader, datasets, mlflow_mirror
from homeprices.resources import Resources
from homeprices.settings import load_settings
from homeprices.workflows import run_notes
from homeprices.workflows.train_and_publish import TrainingRun
from homeprices.workflows.training_options import TrainingOptions
from tests.support.servers import Servers
from tests.support.trainings import keep_trainings

SOME = ("linear", "ridge", "boosting")  # the whole table is for the end-to-end test


@pytest.fixture(scope="module")
def mlflow_uri(servers: Servers) -> str:
    """Address of an MLflow server that no other test uses, because these tests delete what training needs."""
    return servers.mlflow("training")


@pytest.fixture(scope="module")
def csv() -> bytes:
    """A file of synthetic listings."""
    return bytes(synthetic.make_listings(6_000, seed=5).to_csv(index=False).encode())


@pytest.fixture(autouse=True)
def kept_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that equal those of an earlier test or run are not trained again."""
    keep_trainings(monkeypatch)


@pytest.fixture
def bucket(csv: bytes) -> MemoryBucket:
    """A bucket in memory."""
    made = MemoryBucket()
    datasets.import_csv(made, csv, "listings.csv")
    return made


def run(bucket: MemoryBucket, mlflow_uri: str, run_id: str, **more: str) -> TrainingRun:
    settings = load_settings({"MLFLOW_TRACKING_URI": mlflow_uri, **more}, ())
    return TrainingRun(Resources(settings, bucket), run_id)


def train(steps: TrainingRun, estimators: tuple[str, ...] = SOME) -> dict[str, Any]:
    """Every step up to the draft, with values that went through JSON as they do between tasks."""
    dataset = through_json(steps.check_dataset())
    listings = through_json(steps.clean_listings(dataset))
    steps.list_estimators(listings)
    scores = [through_json(steps.cross_validate(listings, name)) for name in estimators]
    return through_json(
        steps.validate_bundle(through_json(steps.build_bundle(listings, through_json(steps.select_estimator(scores)))))
    )


def through_json(values: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(values)))


def test_without_a_dataset_the_run_says_how_to_import_one(mlflow_uri: str) -> None:
    with pytest.raises(NotFound, match=r"python -m homeprices.data import"):
        run(MemoryBucket(), mlflow_uri, "no-dataset").check_dataset()


def test_the_first_model_is_the_best_simple_one_and_the_next_the_best_of_all(
    bucket: MemoryBucket, mlflow_uri: str, tmp_path: Path
) -> None:
    first = run(bucket, mlflow_uri, "run:1")
    draft = train(first)
    assert draft["kind"] == "BO" and draft["estimator"] in {"linear", "ridge"}
    assert first.publish_bundle(draft)["version"] == "BO1"

    second = run(bucket, mlflow_uri, "run:2")
    draft = train(second)
    assert (draft["kind"], draft["estimator"]) == ("CO", "boosting")
    assert second.publish_bundle(draft)["version"] == "CO1"

    priced = Predictor(Bundle.open(bundle_reader.fetch(bucket, "CO1", tmp_path)))
    priced.replay_golden()
    assert [e.key for e in bucket.list("staging/")] == []


def test_the_first_model_can_be_the_best_of_all(bucket: MemoryBucket, mlflow_uri: str) -> None:
    assert train(run(bucket, mlflow_uri, "best", FIRST_MODEL="best"))["estimator"] == "boosting"


def test_the_slowest_estimator_is_cross_validated_beside_all_others(bucket: MemoryBucket, mlflow_uri: str) -> None:
    steps = run(bucket, mlflow_uri, "order", FIRST_MODEL="best")
    groups = steps.list_estimators(steps.clean_listings(steps.check_dataset()))
    assert groups == [["distilled"], [name for name in ESTIMATORS if name != "distilled"]]


def test_the_simple_estimators_share_one_process(bucket: MemoryBucket, mlflow_uri: str) -> None:
    steps = run(bucket, mlflow_uri, "simple")
    groups = steps.list_estimators(steps.clean_listings(steps.check_dataset()))
    assert groups == [["linear", "ridge", "lasso"]]


def test_a_person_chooses_dataset_estimators_seed_and_first_model(bucket: MemoryBucket, mlflow_uri: str) -> None:
    other = synthetic.make_listings(6_000, seed=6).to_csv(index=False).encode()
    datasets.import_csv(bucket, other, "other.csv")
    chosen = {"dataset": 1, "estimators": "boosting", "seed": 11, "first_model": "best", "preset": "quick"}
    settings = load_settings({"MLFLOW_TRACKING_URI": mlflow_uri}, ())
    steps = TrainingRun(Resources(settings, bucket), "chosen", TrainingOptions.of(chosen))
    assert steps.list_estimators(steps.clean_listings(steps.check_dataset())) == [["boosting"]]
    draft = train(steps, ("boosting",))
    assert draft["estimator"] == "boosting"
    assert steps.publish_bundle(draft)["version"] == "BO1"
    assert bundle_reader.read_manifest(bucket, "BO1").dataset.version == 1
    (found,) = search(mlflow_uri, "tags.`homeprices.key` = 'chosen'")
    params = {param["key"]: param["value"] for param in found["data"]["params"]}
    assert (params["dataset"], params["seed"], params["estimators"]) == ("train_V1", "11", "boosting")


def test_a_dataset_that_does_not_exist_is_named(bucket: MemoryBucket, mlflow_uri: str) -> None:
    settings = load_settings({"MLFLOW_TRACKING_URI": mlflow_uri}, ())
    with pytest.raises(InvalidInput, match="dataset: there is no train_V7 in the bucket"):
        TrainingRun(Resources(settings, bucket), "absent", TrainingOptions(dataset=7)).check_dataset()


def test_only_clean_listings_reads_the_raw_file_and_the_prepared_rows_go_with_the_draft(
    bucket: MemoryBucket, mlflow_uri: str
) -> None:
    steps = run(bucket, mlflow_uri, "once")
    listings = through_json(steps.clean_listings(steps.check_dataset()))
    bucket.delete(listings["dataset"]["key"])
    score = through_json(steps.cross_validate(listings, "ridge"))
    draft = steps.validate_bundle(steps.build_bundle(listings, steps.select_estimator([score])))
    assert "staging/once/prepared.parquet" in {entry.key for entry in bucket.list("staging/")}
    assert steps.publish_bundle(draft)["version"] == "BO1"
    assert list(bucket.list("staging/")) == []
    with pytest.raises(NotFound, match="run clean_listings of this run again"):
        steps.cross_validate(listings, "ridge")


def test_publishing_twice_gives_one_version(bucket: MemoryBucket, mlflow_uri: str) -> None:
    steps = run(bucket, mlflow_uri, "twice")
    draft = train(steps)
    assert [steps.publish_bundle(draft)["version"] for _ in range(3)] == ["BO1"] * 3
    assert bundle_reader.published(bucket, "BO") == ["BO1"]


def test_a_draft_that_fails_its_checks_is_never_published(bucket: MemoryBucket, mlflow_uri: str) -> None:
    """The decision tree is kept for comparison; its price falls with the area in places."""
    steps = run(bucket, mlflow_uri, "tree")
    listings = steps.clean_listings(steps.check_dataset())
    steps.list_estimators(listings)
    draft = steps.build_bundle(listings, {"kind": "BO", "estimator": "decision_tree"})
    with pytest.raises(PublicationRefused, match="decision_tree failed"):
        steps.validate_bundle(draft)


def test_mlflow_shows_one_parent_with_a_run_for_each_estimator_and_the_bundle_as_files(
    bucket: MemoryBucket, mlflow_uri: str
) -> None:
    steps = run(bucket, mlflow_uri, "tracked")
    draft = train(steps)
    steps.publish_bundle(draft)
    steps.list_estimators(steps.clean_listings(steps.check_dataset()))  # a repeated step opens no second run

    found = search(mlflow_uri, "tags.`homeprices.key` = 'tracked'")
    assert len(found) == 1 and found[0]["info"]["status"] == "FINISHED"
    assert found[0]["info"]["run_name"] == "train_V1 -> BO1"
    [logged] = found[0]["inputs"]["dataset_inputs"]
    assert logged["dataset"]["name"] == "train_V1" and "data/raw/train_V1.csv" in logged["dataset"]["source"]
    parent = found[0]["info"]["run_id"]
    children = search(mlflow_uri, f"tags.mlflow.parentRunId = '{parent}'")
    assert sorted(child["info"]["run_name"] for child in children) == sorted(SOME)
    metrics = {metric["key"]: metric["value"] for metric in found[0]["data"]["metrics"]}
    assert metrics["holdout.median_ape"] == pytest.approx(draft["metrics"]["median_ape"])
    listed = httpx.get(f"{mlflow_uri}/api/2.0/mlflow/artifacts/list?run_id={parent}&path=bundle", timeout=20).json()
    assert {"bundle/model.onnx", "bundle/model_card.md", "bundle/quality.json"} <= {f["path"] for f in listed["files"]}
    params = {param["key"]: param["value"] for param in found[0]["data"]["params"]}
    assert params["preset"] == "quick" and "library.scikit-learn" in params and len(params["dataset_sha256"]) == 64
    tags = {tag["key"]: tag["value"] for tag in found[0]["data"]["tags"]}
    assert tags["signature"].startswith("total_sqft: number") and tags["git_revision"]
    boosting = next(child for child in children if child["info"]["run_name"] == "boosting")
    kept = {metric["key"] for metric in boosting["data"]["metrics"]}
    assert {"median_ape", "fold0.median_ape", "fold2.all_within_20"} <= kept
    assert {"max_iter", "learning_rate", "preset.folds"} <= {param["key"] for param in boosting["data"]["params"]}


def test_the_list_of_runs_and_the_comparison_show_what_was_trained_and_what_became_of_it(
    bucket: MemoryBucket, mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        steps = run(bucket, mlflow_uri, f"listed:{number}")
        steps.publish_bundle(train(steps))
    failing = run(bucket, mlflow_uri, "listed:4")
    failing.list_estimators(failing.clean_listings(failing.check_dataset()))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
    assert run_notes.try_fail_tracked_run("listed:4", "build_bundle failed: no space left on the disk")
    running = run(bucket, mlflow_uri, "listed:5")
    running.list_estimators(running.clean_listings(running.check_dataset()))

    listed = json.loads(command(bucket, mlflow_uri, "runs", "--last", "5", "--json"))
    assert listed["missing"] == []
    assert [(one["run"], one["version"], one["outcome"]) for one in listed["runs"]] == [
        ("listed:5", None, "has published nothing yet"),
        ("listed:4", None, "build_bundle failed: no space left on the disk"),
        ("listed:3", None, "nothing published: its estimates equal those of CO1, which is on trial"),
        ("listed:2", "CO1", "waits for its trial"),
        ("listed:1", "BO1", "in production"),
    ]
    assert "in production" in command(bucket, mlflow_uri, "runs")

    page = tmp_path / "comparison.html"
    found = json.loads(command(bucket, mlflow_uri, "compare", "BO1", "CO1", "--json", "--html", str(page)))
    assert (found["first"], found["second"], found["known"]) == ("BO1", "CO1", 0)
    assert found["homes"] > 500 and found["results"][0]["overall"]["second"] < found["results"][0]["overall"]["first"]
    assert "CO1 is more accurate" in page.read_text()
    everything = tmp_path / "listings.csv"
    everything.write_bytes(datasets_body(bucket))
    on_file = json.loads(command(bucket, mlflow_uri, "compare", "BO1", "CO1", "--on", str(everything), "--json"))
    assert on_file["homes"] == found["homes"] and on_file["known"] > 2_500
    assert on_file["results"] == found["results"]


def command(bucket: MemoryBucket, mlflow_uri: str, *words: str) -> str:
    """Standard output of the command `homeprices`."""
    resources = Resources(load_settings({"MLFLOW_TRACKING_URI": mlflow_uri}, ()), bucket)
    done = CliRunner().invoke(homeprices, list(words), obj=resources, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def datasets_body(bucket: MemoryBucket) -> bytes:
    return bucket.get("data/raw/train_V1.csv").body


def search(mlflow_uri: str, condition: str) -> list[dict[str, Any]]:
    uri = f"{mlflow_uri}/api/2.0/mlflow/experiments/get-by-name?experiment_name=bangalore_home_prices"
    experiment = httpx.get(uri, timeout=20).json()["experiment"]["experiment_id"]
    body = {"experiment_ids": [experiment], "filter": condition}
    return list(httpx.post(f"{mlflow_uri}/api/2.0/mlflow/runs/search", json=body, timeout=20).json()["runs"])


def test_clicks_in_mlflow_between_the_steps_do_not_stop_the_run(bucket: MemoryBucket, mlflow_uri: str) -> None:
    """Each step is a process of its own, as in Airflow."""
    tracking = MlflowClient(load_settings({"MLFLOW_TRACKING_URI": mlflow_uri}, ()))

    def step() -> TrainingRun:
        return run(bucket, mlflow_uri, "run:clicked")

    def experiment() -> dict[str, Any]:
        found = tracking.call("GET", "experiments/get-by-name", {"experiment_name": EXPERIMENT})["experiment"]
        return {"experiment_id": found["experiment_id"]}

    listings = through_json(step().clean_listings(through_json(step().check_dataset())))
    step().list_estimators(listings)
    run_id = tracking.parent_run("run:clicked")
    tracking.call("POST", "experiments/delete", experiment())
    scores = [through_json(step().cross_validate(listings, "linear"))]
    tracking.call("POST", "experiments/update", {**experiment(), "new_name": f"renamed {secrets.token_hex(4)}"})
    chosen = through_json(step().select_estimator(scores))
    tracking.call("POST", "runs/delete", {"run_id": run_id})
    draft = through_json(step().validate_bundle(through_json(step().build_bundle(listings, chosen))))
    with contextlib.suppress(TrackingRefused):
        tracking.call("DELETE", "registered-models/delete", {"name": mlflow_mirror.REGISTERED_MODEL})
    assert step().publish_bundle(draft)["version"] == "BO1"

    found = tracking.call("GET", "runs/get", {"run_id": run_id})["run"]
    assert (found["info"]["lifecycle_stage"], found["info"]["status"]) == ("active", "FINISHED")
    assert found["info"]["experiment_id"] == experiment()["experiment_id"]
    text = next(tag["value"] for tag in found["data"]["tags"] if tag["key"] == "homeprices.restored")
    for sentence in ("was deleted in MLflow and has been restored", "was renamed", f"The run {run_id} was deleted"):
        assert sentence in text
    named = {"name": mlflow_mirror.REGISTERED_MODEL, "alias": "production"}
    version = tracking.call("GET", "registered-models/alias", named)["model_version"]
    assert (version["run_id"], version["source"]) == (run_id, "s3://memory/models/price_check_BO1")
