"""Mirrors the bucket in MLflow's registered model: one version per bundle, and aliases for the bundles in use.

The bucket is the source of truth and MLflow a view of it for people. So `sync_registered_model` reads the bucket only
and can run at any time, and releases continue while MLflow is unavailable. If somebody deletes or moves the model, a
version or an alias in MLflow's pages, the sync restores it. The log and the client's next run record the restoration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.adapters.mlflow_experiment import ALREADY_EXISTS, DOES_NOT_EXIST
from homeprices.errors import HomePricesError, TrackingRefused
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND, REGIONAL_KIND
from homeprices.pricing.manifest import MANIFEST_FILE
from homeprices.registry import bundle_reader, versions
from homeprices.registry.versions import BUNDLE_FILE_KEY
from homeprices.words import DESCRIBED, PRICE_UNIT

if TYPE_CHECKING:
    from homeprices.adapters.object_store import Bucket
    from homeprices.pricing.manifest import Manifest
    from homeprices.resources import Resources

REGISTERED_MODEL = "bangalore_home_prices"
DESCRIPTION = f"""{DESCRIBED} in {PRICE_UNIT}, each with an interval that holds 90 % of the prices.

One version per bundle: `BO` bundles are for production, `RO` bundles for production in some places, `CO` bundles are
candidates that visitors try. The alias `production` is what visitors get, and `candidate` is on trial. The source of a
version is its bundle in the bucket. The bucket is the source of truth: the next release undoes what is changed here.

Load it: `mlflow.pyfunc.load_model("models:/{REGISTERED_MODEL}@production")`
"""
EARLIER_DESCRIPTION = "Prices of Bangalore homes. One version per bundle; its source is the bundle in the bucket."
BUNDLE_TAG = "bundle"
ERRORS = {"from the form's fields": "median_ape", "from all inputs": "all_median_ape"}
INVALID_VALUE = "INVALID_PARAMETER_VALUE"

log = get_logger(__name__)


def sync_registered_model(tracking: MlflowClient, bucket: Bucket, new: str | None = None) -> dict[str, str | None]:
    """Register every unregistered bundle and set the aliases. Return the bundle of each alias.

    `new` is the bundle that the caller has just published. The sync reports any other bundle that was missing. Raises
    TrackingUnavailable, StorageUnavailable.
    """
    _create_model(tracking)
    registered = _registered(tracking)
    kinds = (*BUNDLE_KIND.values(), REGIONAL_KIND)
    for version in [version for kind in kinds for version in bundle_reader.published(bucket, kind)]:
        if version not in registered:
            source = f"s3://{bucket.name}/{versions.folder(version).rstrip('/')}"
            manifest = bundle_reader.read_manifest(bucket, version)
            columns = bundle_reader.read_columns(bucket, version)
            registered[version] = register_bundle(tracking, manifest, source, columns.signature())
            if version != new:
                tracking.say_restored(f"MLflow had no version of {version}. It is registered again.")
    aliases: dict[str, str | None] = {
        variant: bundle_reader.highest(bucket, kind) for variant, kind in BUNDLE_KIND.items()
    }
    for alias, bundle in aliases.items():
        before = _alias(tracking, alias)
        number = registered[bundle] if bundle else None
        if before == number:
            continue
        _set_alias(tracking, alias, number)
        if bundle and bundle != new:
            was = f"was version {before}" if before else "was gone"
            tracking.say_restored(f"MLflow's alias {alias} {was}. It is {bundle} (version {number}).")
    return aliases


def try_sync_registered_model(resources: Resources, new: str | None = None) -> None:
    """Synchronise MLflow, or log a warning if that fails; the next release tries again."""
    try:
        sync_registered_model(MlflowClient(resources.settings), resources.bucket, new)
    except HomePricesError as error:
        log.warning("mlflow_sync_failed", error=str(error), retry="next release")


def register_bundle(tracking: MlflowClient, manifest: Manifest, source: str, signature: str) -> str:
    """Register a bundle by its address in the bucket, and return MLflow's number for it."""
    tags = {
        BUNDLE_TAG: manifest.version,
        "estimator": manifest.estimator,
        "dataset": f"train_V{manifest.dataset.version}",
        "git_revision": manifest.git_revision,
        "signature": signature,
        **({"promoted_from": manifest.promoted_from} if manifest.promoted_from else {}),
    }
    run_id = manifest.mlflow_run_id
    if not (run_id and tracking.has_run(run_id)):  # the run has them as metrics
        tags |= {f"holdout.{name}": f"{value:.6g}" for name, value in manifest.metrics.items()}
        run_id = None
    request = {
        "name": REGISTERED_MODEL,
        "source": source,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
        "description": _described(manifest),
        **({"run_id": run_id} if run_id else {}),
    }
    return str(tracking.call("POST", "model-versions/create", request)["model_version"]["version"])


def _described(manifest: Manifest) -> str:
    errors = [(name, manifest.metrics.get(metric)) for name, metric in ERRORS.items()]
    measured = ", ".join(f"{error:.1%} {name}" for name, error in errors if error is not None)
    described = f"{manifest.version}: {manifest.estimator} on train_V{manifest.dataset.version}."
    return described + (f" Median error on the hold-out: {measured}." if measured else "")


def _create_model(tracking: MlflowClient) -> None:
    """Create the registered model, and describe it unless somebody has described it in MLflow's pages."""
    described = {"name": REGISTERED_MODEL, "description": DESCRIPTION}
    try:
        tracking.call("POST", "registered-models/create", described)
    except TrackingRefused as refused:
        if refused.code != ALREADY_EXISTS:
            raise
        found = tracking.call("GET", "registered-models/get", {"name": REGISTERED_MODEL})["registered_model"]
        if found.get("description", "") in ("", EARLIER_DESCRIPTION):
            tracking.call("PATCH", "registered-models/update", described)


def _registered(tracking: MlflowClient) -> dict[str, str]:
    """Return MLflow's number of each registered bundle; the lowest if two processes registered it concurrently."""
    registered: dict[str, str] = {}
    query = {"filter": f"name='{REGISTERED_MODEL}'", "max_results": 200}
    for item in tracking.pages("model-versions/search", query, "model_versions"):
        bundle = _bundle_of(item)
        if bundle and (bundle not in registered or int(item["version"]) < int(registered[bundle])):
            registered[bundle] = str(item["version"])
    return registered


def _bundle_of(item: dict[str, Any]) -> str | None:
    """Return the bundle of a registered version, by its source if somebody has removed its tag."""
    tagged = next((tag["value"] for tag in item.get("tags", []) if tag["key"] == BUNDLE_TAG), None)
    if tagged:
        return str(tagged)
    match = BUNDLE_FILE_KEY.search(f"{item.get('source', '')}/{MANIFEST_FILE}")
    return match[1] if match else None


def _alias(tracking: MlflowClient, alias: str) -> str | None:
    """Return MLflow's number of the version that an alias names, or None."""
    try:
        found = tracking.call("GET", "registered-models/alias", {"name": REGISTERED_MODEL, "alias": alias})
    except TrackingRefused as refused:
        if refused.code not in (DOES_NOT_EXIST, INVALID_VALUE):  # MLflow's code for an alias that is not set
            raise
        return None
    return str(found["model_version"]["version"])


def _set_alias(tracking: MlflowClient, alias: str, version: str | None) -> None:
    name = {"name": REGISTERED_MODEL, "alias": alias}
    if version is not None:
        tracking.call("POST", "registered-models/alias", {**name, "version": version})
        return
    try:
        tracking.call("DELETE", "registered-models/alias", name)
    except TrackingRefused as refused:
        if refused.code != DOES_NOT_EXIST:
            raise
