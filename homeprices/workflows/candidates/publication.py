"""The last steps of a candidate to its trial."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from homeprices.adapters.notifications import Notification
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND
from homeprices.registry import bundle_publisher, bundle_reader
from homeprices.release import control_record, promotion, replicas

if TYPE_CHECKING:
    import pandas as pd

    from homeprices.adapters.object_store import Bucket
    from homeprices.resources import Resources
    from homeprices.training.challenger import Comparison

REJECTED_BUNDLES_COMPARED = 12  # the newest rejected bundles; earlier ones were trained on earlier data
CANDIDATE, PRODUCTION = BUNDLE_KIND["candidate"], BUNDLE_KIND["production"]
GATE_REPORTS = "reports/validation/gate-"

log = get_logger(__name__)


def hold_out_objection(
    bucket: Bucket, folder: Path, holdout: pd.DataFrame, store: Callable[[Comparison], None]
) -> str | None:
    """Return why the draft in `folder` must not be tried, by its estimates of the hold-out; None if it may.

    `store` gets the comparison with production. Raises BundleRefused, PublicationRefused.
    """
    from homeprices.training import challenger

    with tempfile.TemporaryDirectory() as temporary:
        production = str(bundle_reader.highest(bucket, PRODUCTION))
        other = bundle_reader.fetch(bucket, production, Path(temporary))
        comparison = challenger.compare_with_champion(folder, other, holdout)
        store(comparison)
        if reason := comparison.rejection_reason():
            return reason
        for rejected in promotion.rejected_bundles(bucket)[:REJECTED_BUNDLES_COMPARED]:
            other = bundle_reader.fetch(bucket, rejected, Path(temporary))
            if challenger.has_same_predictions(folder, other, holdout):
                return f"its estimates equal those of {rejected}, which has lost; it waits for new data"
    return None


def store_comparison(bucket: Bucket, run_id: str, comparison: Comparison) -> None:
    """Store the comparison with production on the hold-out, which explains why a draft was published or not."""
    name = bundle_reader.staging_folder(run_id).split("/")[1]
    report = comparison.model_dump(mode="json") | {"why_not": comparison.rejection_reason()}
    bucket.put(f"{GATE_REPORTS}{name}.json", json.dumps(report, indent=1).encode())


def publish_alone(bucket: Bucket, run_id: str, published_by: str) -> tuple[str, None] | tuple[None, str]:
    """Publish the draft of a run as the next candidate; return its version, or the reason why it was withdrawn.

    The pipeline and a person may publish at the same time. Only one candidate can be tried, so whoever finds another
    one withdraws its own.
    """
    version = bundle_publisher.publish(bucket, run_id, CANDIDATE, published_by=published_by)
    published = bundle_reader.published(bucket, CANDIDATE)
    others = [other for other in published if other != version]
    if version not in published or not others:
        return version, None
    bundle_publisher.archive(bucket, version)
    log.warning("candidate_withdrawn", version=version, other=others[-1])
    return None, f"{others[-1]} was published at the same time; {version} is withdrawn"


def start_trial(resources: Resources, candidate: str, actor: str, reason: str) -> None:
    """Wait until every candidate replica serves the version, then give it its traffic share.

    Raises NotReady, and DatabaseUnavailable where the policy gives a trial its level; an evaluation starts it then.
    """
    from homeprices.experiment.decision_log import level_rule

    production = str(bundle_reader.highest(resources.bucket, PRODUCTION))
    replicas.wait_for_version(resources.settings, "candidate", candidate)
    share, level = resources.settings.candidate_share, level_rule(resources)
    control_record.start_experiment(resources.bucket, production, candidate, share, actor, reason, level=level)
    resources.notifier.send(Notification(f"{candidate} is on trial against {production}", reason))
