"""The last steps to a trial, shared by the pipeline and by a person who publishes a candidate of their own.

A person's bundle goes the same way: digests, golden inputs, limits and behaviour are checked, it is compared with
production on the hold-out and in shadow, claims the next version, and waits for the slot (`selection.py`).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.adapters.notifications import Notification
from homeprices.errors import BundleRefused, Conflict, HomePricesError, InvalidInput, ObjectNotFound
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.manifest import DRAFT_FILE, MANIFEST_FILE, Draft
from homeprices.registry import bundle_publisher, bundle_reader, datasets, mlflow_mirror, versions
from homeprices.release import candidate_queue, promotion, replicas

if TYPE_CHECKING:
    from homeprices.adapters.object_store import Bucket
    from homeprices.data.preparation import Holdout
    from homeprices.resources import Resources
    from homeprices.training.challenger import Comparison

REJECTED_BUNDLES_COMPARED = 12  # the newest rejected bundles; earlier ones were trained on earlier data
CANDIDATE, PRODUCTION = BUNDLE_KIND["candidate"], BUNDLE_KIND["production"]
METRIC, METRIC_TOLERANCE = "median_ape", 0.005
"""The metric of a person's draft that is measured again, and the largest difference, as a share of the price."""

GATE_REPORTS = "reports/validation/gate-"

log = get_logger(__name__)


def hold_out_objection(
    bucket: Bucket,
    folder: Path,
    holdout: Holdout,
    store: Callable[[Comparison], None],
    version: str | None = None,
) -> str | None:
    """Return why the draft in `folder` must not be tried, by its estimates of the hold-out; None if it may.

    `version` is that of a candidate that waits: of two that are equal, only the later one leaves. `store` gets the
    comparison with production. Raises BundleRefused, PublicationRefused.
    """
    from homeprices.training import challenger

    with tempfile.TemporaryDirectory() as temporary:
        production = str(bundle_reader.highest(bucket, PRODUCTION))
        other = bundle_reader.fetch(bucket, production, Path(temporary))
        comparison = challenger.compare_with_champion(folder, other, holdout)
        store(comparison)
        if reason := comparison.rejection_reason():
            return reason
        rejected = promotion.rejected_bundles(bucket)[:REJECTED_BUNDLES_COMPARED]
        others = dict.fromkeys(rejected, "which has lost; it waits for new data") | _rivals(bucket, version)
        for name, what in others.items():
            other = bundle_reader.fetch(bucket, name, Path(temporary))
            if challenger.has_same_predictions(folder, other, holdout):
                return f"its estimates equal those of {name}, {what}"
    return None


def _rivals(bucket: Bucket, version: str | None) -> dict[str, str]:
    """Return the candidates that came before, each with what it does. The same model is tried once."""
    found = dict.fromkeys(candidate_queue.waiting(bucket), "which waits")
    if (taken := candidate_queue.holder(bucket)) is not None:
        found[taken] = "which is on trial"
    before = versions.number_of(version) if version else None
    return {name: what for name, what in found.items() if before is None or versions.number_of(name) < before}


def store_comparison(bucket: Bucket, run_id: str, comparison: Comparison) -> None:
    """Store the comparison with production on the hold-out, which explains why a draft was published or not."""
    name = bundle_reader.staging_folder(run_id).split("/")[1]
    report = comparison.model_dump(mode="json") | {"why_not": comparison.rejection_reason()}
    bucket.put(f"{GATE_REPORTS}{name}.json", json.dumps(report, indent=1).encode())


def start_trial(resources: Resources, candidate: str, actor: str, reason: str) -> None:
    """Wait until every candidate replica serves the version, then start its experiment.

    Raises NotReady, and DatabaseUnavailable where the policy has a ramp or gives a trial its level; an evaluation
    starts it then.
    """
    from homeprices.experiment import policies
    from homeprices.workflows.candidates import rollout

    production = str(bundle_reader.highest(resources.bucket, PRODUCTION))
    replicas.wait_for_version(resources.settings, "candidate", candidate)
    record = rollout.begin(resources, policies.load(resources.settings.policy), production, candidate, actor, reason)
    begun = f"begins its ramp with {record.share:g} % of the visitors" if record.phase == "ramp" else "is on trial"
    resources.notifier.send(Notification(f"{candidate} {begun} against {production}", record.reason))


def publish_folder(resources: Resources, folder: Path, actor: str, say: Callable[[str], None]) -> str:
    """Publish the draft bundle in `folder` as the next candidate, which may have to wait, and return its version.

    `say` gets a sentence after each step. The same content gets the same version, so the command can be repeated after
    a kill. Raises InvalidInput, BundleRefused and PublicationRefused for a folder that is wrong, Conflict for a
    candidate that must not be tried now, and Unavailable.
    """
    from homeprices.workflows.candidates import selection, shadow

    bucket, draft = resources.bucket, check_folder(folder)
    run_id = f"own-{hashlib.sha256((folder / DRAFT_FILE).read_bytes()).hexdigest()[:16]}"
    earlier = bundle_publisher.claimed(bucket, CANDIDATE, f"publish:{run_id}")
    if earlier and bundle_reader.is_complete(bucket, earlier):
        if earlier in candidate_queue.waiting(bucket):
            selection.fill_slot(resources, actor)  # an earlier call may have been killed before that
        if earlier not in (*bundle_reader.published(bucket, CANDIDATE), *bundle_reader.waiting(bucket)):
            raise Conflict(f"this bundle was {earlier}, which has ended; one that was trained again may be published")
        return earlier
    if bundle_reader.highest(bucket, PRODUCTION) is None:
        raise Conflict("there is no production bundle yet, with which a candidate is compared; run `make train` first")
    holdout = hold_out(bucket, draft)
    say(f"{folder} is whole and passes every check.")

    def judge(comparison: Comparison) -> None:
        measured, declared = comparison.form.candidate, draft.metrics.get(METRIC)
        if declared is None or abs(measured - declared) > METRIC_TOLERANCE:
            sentence = f"is {declared} in {DRAFT_FILE}; on the hold-out of train_V{draft.dataset.version} it is"
            raise InvalidInput({METRIC: f"{sentence} {measured:.4f}"})
        store_comparison(bucket, run_id, comparison)

    if reason := hold_out_objection(bucket, folder, holdout, judge):
        raise Conflict(f"nothing published: {reason}")
    report = shadow.compare_in_shadow(resources, run_id, folder)
    say(report.sentence)
    version, reason = None, report.stopped
    if reason is None:
        bundle_publisher.stage(bucket, run_id, folder)
        # Unique, because lists of runs find a bundle by this member.
        version, reason = selection.publish_or_wait(resources, run_id, f"{actor}, {run_id}", actor)
        bundle_publisher.discard_staging(bucket, run_id)
    _try_close_run(resources, run_id, version, reason)
    if version is None:
        raise Conflict(f"nothing published: {reason}")
    mlflow_mirror.try_sync_registered_model(resources, new=version)
    return version


def _try_close_run(resources: Resources, run_id: str, version: str | None, reason: str | None) -> None:
    """Close the run in MLflow that has the report of a person's candidate; without MLflow, log a warning."""
    try:
        tracking = MlflowClient(resources.settings)
        run = tracking.parent_run(run_id)
        tracking.log(run, tags={"publication": reason or f"published as {version}", "bundle": version or "none"})
        tracking.finish(run, name=f"{run_id} -> {version or 'nothing published'}")
    except HomePricesError as error:
        log.warning("tracked_run_not_closed", run=run_id, error=str(error))


def check_folder(folder: Path) -> Draft:
    """Return the draft in a folder after every check that needs nothing else.

    Raises InvalidInput for a folder without one, BundleRefused (files, digests, schemas, golden inputs) and
    PublicationRefused (behaviour, size, accuracy).
    """
    from homeprices.data.preparation import BY_TIME, SALT
    from homeprices.training import validation

    if not folder.is_dir():
        raise InvalidInput({"folder": f"{folder} is not a folder"})
    if not (folder / DRAFT_FILE).is_file():
        found = f"it holds a published bundle ({MANIFEST_FILE})" if (folder / MANIFEST_FILE).exists() else "it has none"
        raise InvalidInput({"folder": f"{folder} needs a {DRAFT_FILE}, as `build_bundle` writes it; {found}"})
    bundle = Bundle.open_draft(folder)
    draft = bundle.manifest
    if own := {DRAFT_FILE, MANIFEST_FILE} & draft.files.keys():
        raise BundleRefused(f"{folder.name}: {DRAFT_FILE} lists {', '.join(sorted(own))}, which publication writes")
    if draft.dataset.holdout != SALT and not str(draft.dataset.holdout).startswith(BY_TIME):
        held = f"was trained with the hold-out {draft.dataset.holdout!r}, not {SALT!r}"
        raise InvalidInput({"dataset.holdout": f"{folder.name} {held}, so it may have learned the prices of that one"})
    bundle.market()
    validation.check(folder)
    return draft


def hold_out(bucket: Bucket, draft: Draft) -> Holdout:
    """Return the hold-out rows of the dataset that a draft or candidate was trained on. Raises InvalidInput."""
    reference = draft.dataset
    name = f"train_V{reference.version}"
    try:
        return datasets.prepared(bucket, reference).listed_holdout
    except ObjectNotFound:
        raise InvalidInput(
            {"dataset.key": f"there is no {reference.key} in the bucket; {name} must be there"}
        ) from None
    except Conflict:
        different = f"{name} in the bucket has another content than the file that the draft was trained on"
        raise InvalidInput({"dataset.sha256": different}) from None
