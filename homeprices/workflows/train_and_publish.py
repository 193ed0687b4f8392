"""The steps of the training DAG: from the newest dataset to a model in production or in an experiment.

Steps pass small JSON values; files go through `staging/{run}/` in the bucket. Each step can be killed and repeated, on
any machine, because it writes only under its run's name. Each runs in a separate process, so it imports only what it
needs, and most start without scikit-learn.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.adapters.notifications import Notification
from homeprices.data import preparation
from homeprices.errors import HomePricesError, NotFound, ObjectNotFound
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.manifest import DRAFT_FILE
from homeprices.registry import bundle_publisher, bundle_reader, datasets, mlflow_mirror, versions
from homeprices.release import control_record, replicas
from homeprices.resources import Resources, open_resources
from homeprices.workflows import heartbeat
from homeprices.workflows.candidates import publication
from homeprices.workflows.training_options import NO_CHOICE, TrainingOptions

if TYPE_CHECKING:
    from homeprices.model.calibration import OutOfFoldPredictions
    from homeprices.training.challenger import Comparison

ACTOR = "pipeline"
ORIGIN = ("version", "key", "sha256", "source", "imported_at")  # of a dataset, for the bundle's manifest

log = get_logger(__name__)


def open_run(run_id: str, parameters: Mapping[str, Any]) -> TrainingRun:
    """The training run of a DAG run with its parameters. Raises InvalidInput, which names the parameter."""
    return TrainingRun(open_resources(), run_id, TrainingOptions.of(parameters))


class TrainingRun:
    """One run of the pipeline."""

    def __init__(self, resources: Resources, run_id: str, options: TrainingOptions = NO_CHOICE) -> None:
        self._resources, self._run_id, self._options = resources, run_id, options
        self._bucket, self._settings = resources.bucket, resources.settings
        self._seed = self._settings.training_seed if options.seed is None else options.seed
        self._tracking = MlflowClient(resources.settings)

    def check_dataset(self) -> dict[str, Any]:
        """Return the chosen or the newest dataset after parsing and hashing its file.

        Raises NotFound, DatasetRefused, and InvalidInput for a version that does not exist.
        """
        bundle_reader.warn_of_ignored_folders(self._bucket)
        return datasets.find(self._bucket, self._options.dataset).model_dump(mode="json")

    def clean_listings(self, dataset: dict[str, Any]) -> dict[str, Any]:
        """Clean the dataset, store the prepared rows for all later steps, and return the quality counts and the preset.

        Raises DatasetRefused, which names what is wrong.
        """
        from homeprices.workflows.features.prepare_listings import prepare_listings

        prepared = prepare_listings(self._bucket, dataset, self._seed)
        self._bucket.put(self._prepared_key, prepared.to_parquet())
        size = self._options.preset or self._settings.training_effort
        return {"dataset": dataset, "quality": prepared.quality, "preset": size}

    def list_estimators(self, listings: dict[str, Any]) -> list[list[str]]:
        """The names of the estimators to compare, in groups for one process each: for a simple first model, the simple.

        Open the parent run in MLflow and log the dataset there. Raises InvalidInput for chosen estimators that do not
        exist, or of which none may be published.
        """
        from homeprices.model.estimators import ESTIMATORS

        dataset, names = listings["dataset"], self._options.names(ESTIMATORS.values(), simple_only=self._simple_only)
        name, uri = f"train_V{dataset['version']}", f"s3://{self._bucket.name}/{dataset['key']}"
        self._tracking.log_dataset(self._parent(), name, dataset["sha256"], uri, dataset["rows"])
        self._tracking.log(
            self._parent(),
            params={
                "dataset": name,
                "dataset_sha256": dataset["sha256"],
                "seed": self._seed,
                "preset": listings["preset"],
                **({"estimators": ", ".join(names)} if self._options.estimators else {}),
            },
            metrics={"rows": dataset["rows"], "rows_used": listings["quality"]["used"]},
            tags={"git_revision": self._settings.git_revision},
        )
        # Starting a process costs three seconds of CPU time, so estimators share processes. The slowest, the last of
        # the table, takes as long as all others together, so two cores finish at the same time.
        slowest = [name for name in names if ESTIMATORS[name].build is None]
        others = [name for name in names if name not in slowest]
        return [group for group in (slowest, others) if group]

    def cross_validate(self, listings: dict[str, Any], estimator: str) -> dict[str, Any]:
        """Cross-validate an estimator on the training rows, log it as a child run, and return its metrics."""
        from homeprices.model.estimators import parameters
        from homeprices.model.presets import preset
        from homeprices.training import cross_validation

        training, size = self._prepared().training, preset(listings["preset"])
        result, out_of_fold = cross_validation.cross_validate(estimator, training, self._seed, size)
        self._bucket.put(self._out_of_fold_key(estimator), out_of_fold.to_bytes())
        child = self._tracking.child_run(self._parent(), estimator)
        folds = {f"fold{n}.{name}": value for n, fold in enumerate(result.folds) for name, value in fold.items()}
        self._tracking.log(child, params=parameters(estimator, self._seed, size), metrics={**result.mean, **folds})
        self._tracking.finish(child)
        return result.model_dump(mode="json")

    def select_estimator(self, scores: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the estimator to publish and its kind: `BO` when there is no production yet, else `CO`."""
        from homeprices.training import cross_validation

        results = [cross_validation.CrossValidation.model_validate(score) for score in scores]
        chosen = cross_validation.select_estimator(results, simple_only=self._simple_only)
        self._tracking.log(self._parent(), params={"chosen": chosen, "kind": self._kind})
        return {"kind": self._kind, "estimator": chosen}

    def build_bundle(self, listings: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
        """Fit the chosen estimator on all training rows, score the hold-out, stage the draft and log it."""
        from joblib import parallel_config  # type: ignore[import-untyped]

        from homeprices.model.presets import preset
        from homeprices.training import bundle_builder

        prepared, dataset = self._prepared(), listings["dataset"]
        # Threads, because no other task of the run is at work now; the model does not depend on their number.
        with tempfile.TemporaryDirectory() as temporary, parallel_config(backend="threading", n_jobs=-1):
            folder = Path(temporary) / "bundle"
            draft = bundle_builder.build_bundle(
                chosen["estimator"],
                prepared,
                dataset=prepared.reference(**{name: dataset.get(name) for name in ORIGIN}),
                out=folder,
                seed=self._seed,
                git_revision=self._settings.git_revision,
                mlflow_run_id=self._parent(),
                preset=preset(listings["preset"]),
                out_of_fold=self._out_of_fold(chosen["estimator"]),
            )
            bundle_publisher.stage(self._bucket, self._run_id, folder)
            self._tracking.log(
                self._parent(),
                params={f"library.{name}": version for name, version in draft.libraries.items()},
                metrics={f"holdout.{name}": value for name, value in draft.metrics.items()},
                tags={"signature": Bundle.open_draft(folder).columns.signature()},
            )
            self._tracking.log_files(self._parent(), folder, under="bundle")
        return {**chosen, "dataset": f"train_V{dataset['version']}", "metrics": draft.metrics}

    def validate_bundle(self, draft: dict[str, Any]) -> dict[str, Any]:
        """Return the draft if it passes validation. Raises PublicationRefused, which names the failed checks."""
        from homeprices.training import validation

        with self._staged() as folder:
            validation.check(folder)
        return draft

    def shadow_candidate(self, draft: dict[str, Any]) -> dict[str, Any]:
        """Compare the draft with production on what visitors asked it for; return what stops it. Raises Unavailable.

        There is nothing to compare for a first model, or while few homes are logged.
        """
        if draft["kind"] == BUNDLE_KIND["production"]:
            return {"production": None, "sentence": "There is no production to compare with.", "stopped": None}
        from homeprices.workflows.candidates import shadow

        report = shadow.compare_in_shadow(self._resources, self._run_id)
        return report.model_dump(mode="json", include={"production", "sentence"}) | {"stopped": report.stopped}

    def publish_bundle(self, draft: dict[str, Any], shadowed: dict[str, Any] | None = None) -> dict[str, Any]:
        """Publish the draft, or not, and return its version (None if it was not published) with the reason.

        A candidate that `waits` has a version, and no trial yet. `shadowed` is the result of `shadow_candidate`.
        """
        kind, version = draft["kind"], None
        reason = self._rejection_reason(draft, shadowed)
        if reason is None and kind == BUNDLE_KIND["production"]:
            version = bundle_publisher.publish(self._bucket, self._run_id, kind, published_by=self._run_id)
        elif reason is None:
            from homeprices.workflows.candidates import selection

            version, reason = selection.publish_or_wait(self._resources, self._run_id, self._run_id, ACTOR)
        waits = version is not None and reason is not None
        reason = reason or f"{draft['estimator']} is published as {version}"
        log.info("publication_decided", version=version, reason=reason)
        self._tracking.log(self._parent(), tags={"publication": reason, "bundle": version or "none"})
        self._tracking.finish(self._parent(), name=f"{draft['dataset']} -> {version or 'nothing published'}")
        bundle_publisher.discard_staging(self._bucket, self._run_id)
        self._register(version)
        if version is None or waits:
            self._record_heartbeat(reason)
        return {"kind": kind, "version": version, "reason": reason, "waits": waits}

    def wait_for_production(self, published: dict[str, Any]) -> str:
        """Wait until every production replica serves the version, record it as production, and return it."""
        version = str(published["version"])
        replicas.wait_for_version(self._settings, "production", version)
        control_record.set_production(self._bucket, version, ACTOR, f"{version} is served by every production replica")
        self._resources.notifier.send(Notification(f"{version} is in production", published["reason"]))
        self._record_heartbeat(f"{version} is in production")
        return version

    def start_experiment(self, published: dict[str, Any]) -> str:
        """Wait until every candidate replica serves the version, start its experiment, and return it."""
        candidate = str(published["version"])
        publication.start_trial(self._resources, candidate, ACTOR, published["reason"])
        self._record_heartbeat(f"{candidate} is on trial")
        return candidate

    def _rejection_reason(self, draft: dict[str, Any], shadowed: dict[str, Any] | None) -> str | None:
        """Return the reason why the draft must not be published; None if it may."""
        kind = draft["kind"]
        if bundle_publisher.claimed(self._bucket, kind, f"publish:{self._run_id}"):
            return None  # an earlier attempt of this step decided to publish it
        if kind == BUNDLE_KIND["production"]:
            return None
        if shadowed and shadowed["stopped"]:
            return str(shadowed["stopped"])
        if not self._bucket.exists(bundle_reader.staging_folder(self._run_id) + DRAFT_FILE):
            return "an earlier attempt of this step had a reason not to publish it"
        # After a promotion since, the comparison was with a model that visitors no longer meet.
        now = bundle_reader.highest(self._bucket, BUNDLE_KIND["production"])
        if shadowed and shadowed["production"] != now and (stopped := self.shadow_candidate(draft)["stopped"]):
            return str(stopped)
        with self._staged() as folder:
            holdout = self._prepared().listed_holdout
            return publication.hold_out_objection(self._bucket, folder, holdout, self._store_comparison)

    def _store_comparison(self, comparison: Comparison) -> None:
        """Store the comparison of candidate and production in the bucket and in MLflow: it explains the decision."""
        publication.store_comparison(self._bucket, self._run_id, comparison)
        for one in (comparison.form, comparison.full):
            figures = one.model_dump(include={"candidate", "production", "low", "high"})
            self._tracking.log(self._parent(), metrics={f"gate.{one.inputs}.{name}": v for name, v in figures.items()})

    def _record_heartbeat(self, outcome: str) -> None:
        heartbeat.record_heartbeat(self._bucket, "training", outcome, self._run_id)

    def _register(self, new: str | None) -> None:
        try:
            mlflow_mirror.sync_registered_model(self._tracking, self._bucket, new)
            self._parent()  # the tag of the run records restorations
        except HomePricesError as error:
            log.warning("mlflow_sync_failed", error=str(error), retry="next release")

    @property
    def _kind(self) -> versions.Kind:
        """The kind of bundle that this run publishes."""
        production = bundle_reader.highest(self._bucket, BUNDLE_KIND["production"])
        return BUNDLE_KIND["candidate" if production else "production"]

    @property
    def _simple_only(self) -> bool:
        """Whether only simple estimators may be published, so that training the others would be wasted."""
        first_model = self._options.first_model or self._settings.first_model
        return self._kind == BUNDLE_KIND["production"] and first_model == "simple"

    def _parent(self) -> str:
        return self._tracking.parent_run(self._run_id)

    def _out_of_fold_key(self, estimator: str) -> str:
        return f"{bundle_reader.staging_folder(self._run_id)}out_of_fold/{estimator}.npz"

    def _out_of_fold(self, estimator: str) -> OutOfFoldPredictions | None:
        """The out-of-fold predictions of the training rows; None when the estimator was not cross-validated."""
        from homeprices.model.calibration import OutOfFoldPredictions

        try:
            return OutOfFoldPredictions.from_bytes(self._bucket.get(self._out_of_fold_key(estimator)).body)
        except ObjectNotFound:
            return None

    @property
    def _prepared_key(self) -> str:
        return f"{bundle_reader.staging_folder(self._run_id)}prepared.parquet"

    def _prepared(self) -> preparation.PreparedDataset:
        """The rows that `clean_listings` stored. Raises NotFound after publication, which removes them."""
        try:
            return preparation.PreparedDataset.from_parquet(self._bucket.get(self._prepared_key).body)
        except ObjectNotFound:
            raise NotFound(f"{self._prepared_key} does not exist; run clean_listings of this run again") from None

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        """The staged draft as a local folder."""
        with tempfile.TemporaryDirectory() as temporary:
            yield bundle_reader.fetch_staged(self._bucket, self._run_id, Path(temporary))
