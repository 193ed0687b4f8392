"""Which training runs there were, and what became of the bundle of each.

The bucket knows every published bundle, and MLflow also the runs that published nothing. While MLflow is away, the list
holds what the bucket knows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from homeprices.adapters.mlflow_client import KEY_TAG, MlflowClient
from homeprices.adapters.object_store import Bucket
from homeprices.errors import BundleRefused, TrackingRefused, TrackingUnavailable
from homeprices.foreign_text import printable
from homeprices.names import BUNDLE_KIND
from homeprices.pricing.manifest import MANIFEST_FILE, WAITING_FILE, Manifest
from homeprices.registry import bundle_reader
from homeprices.registry.versions import folder, kind_of, number_of
from homeprices.release import control_record, promotion

BO = BUNDLE_KIND["production"]
MOST_CHARACTERS = 600  # of an outcome

OF_TRAINING = "params.dataset_sha256 LIKE '%'"
"""MLflow's filter: no other run has this parameter."""


class TrainingSummary(BaseModel):
    """A training run for people. `run` is its id in Airflow, `error` the median error by the form on the hold-out."""

    model_config = ConfigDict(frozen=True)

    run: str
    started_at: datetime
    dataset: str
    estimator: str | None = None
    error: float | None = None
    version: str | None = None
    outcome: str


def list_runs(bucket: Bucket, tracking: MlflowClient, limit: int) -> tuple[list[TrainingSummary], list[str]]:
    """Return the newest training runs, newest first, and a sentence for each thing that is missing in the list.

    Raises StorageUnavailable.
    """
    manifests, missing = read_manifests(bucket)
    became = outcomes(bucket, manifests)
    runs = {
        manifest.published_by or version: _of_bundle(manifest, became[version])
        for version, manifest in manifests.items()
        if not manifest.promoted_from
    }
    try:
        for found in tracking.runs(OF_TRAINING, limit):
            run = _of_run(found)
            published = runs.get(run.run)
            runs[run.run] = published.model_copy(update={"started_at": run.started_at}) if published else run
    except (TrackingUnavailable, TrackingRefused) as error:
        missing.append(f"runs that published nothing are missing: {error}")
    return sorted(runs.values(), key=lambda run: run.started_at, reverse=True)[:limit], missing


def as_text(runs: Iterable[TrainingSummary]) -> str:
    """Return a line for each run."""
    lines = [
        f"{run.started_at:%Y-%m-%d %H:%M}  {run.dataset:<9} {run.version or '-':<6} {run.estimator or '-':<10} "
        f"{'-' if run.error is None else f'{run.error:.1%}':>6}  {run.outcome}"
        for run in runs
    ]
    head = f"{'started (UTC)':<17} {'dataset':<9} {'bundle':<6} {'estimator':<10} {'error':>6}  outcome"
    return "\n".join([head, *lines]) if lines else "No model has been trained yet."


def outcomes(bucket: Bucket, manifests: dict[str, Manifest]) -> dict[str, str]:
    """Return what became of each bundle."""
    productions = sorted((version for version in manifests if kind_of(version) == BO), key=number_of)
    became = {version: f"in production until {after}" for version, after in itertools.pairwise(productions)}
    became |= dict.fromkeys(productions[-1:], "in production")
    promoted = {manifests[version].promoted_from: version for version in reversed(productions)}
    on_trial = control_record.read(bucket).candidate
    for candidate in manifests.keys() - became.keys():
        if candidate in promoted:
            became[candidate] = f"promoted as {promoted[candidate]}, {became[promoted[candidate]]}"
        elif candidate == on_trial:
            became[candidate] = "on trial"
        elif (outcome := promotion.outcome_of(bucket, candidate)) == "rollback":
            became[candidate] = "rolled back"
        elif outcome == "withdraw":
            became[candidate] = f"withdrawn: {promotion.reason_of(bucket, candidate)}"
        else:
            in_use = any(bucket.exists(folder(candidate) + name) for name in (WAITING_FILE, MANIFEST_FILE))
            became[candidate] = "waits for its trial" if in_use else "archived without a trial"
    return became


def read_manifests(bucket: Bucket) -> tuple[dict[str, Manifest], list[str]]:
    """Return the manifest of every bundle, and a sentence for each that is damaged."""
    found: dict[str, Manifest] = {}
    damaged = []
    places = ("models/price_check_", "archive/price_check_")
    complete = (version for prefix in places for version in bundle_reader.complete_bundles(bucket, prefix))
    for version in (*complete, *bundle_reader.waiting(bucket)):
        try:
            found[version] = bundle_reader.read_manifest(bucket, version)
        except BundleRefused as error:
            damaged.append(f"{version} is missing: {error}")
    return found, damaged


def _of_bundle(manifest: Manifest, outcome: str) -> TrainingSummary:
    return TrainingSummary(
        run=manifest.published_by,
        started_at=manifest.created_at,
        dataset=f"train_V{manifest.dataset.version}",
        estimator=manifest.estimator,
        error=manifest.metrics.get("median_ape"),
        version=manifest.version,
        outcome=outcome,
    )


def _of_run(found: dict[str, Any]) -> TrainingSummary:
    info, data = found["info"], found["data"]
    params, tags, metrics = (
        {item["key"]: item["value"] for item in data.get(kind, [])} for kind in ("params", "tags", "metrics")
    )
    outcome = "has published nothing yet"
    if "publication" in tags:
        outcome = f"nothing published: {tags['publication']}"
    elif info["status"] == "FAILED":
        outcome = tags.get("failure", "failed")
    return TrainingSummary(
        run=tags[KEY_TAG],
        started_at=datetime.fromtimestamp(info["start_time"] / 1000, UTC),
        dataset=params["dataset"],
        estimator=params.get("chosen"),
        error=metrics.get("holdout.median_ape"),
        outcome=printable(outcome, MOST_CHARACTERS),
    )
