"""Which of the candidates that wait takes the slot, and who leaves the queue.

The slot goes to the candidate with the smallest error on the actual prices that visitors reported, else on the
hold-out. If production has changed, or if several wait, each is first compared with production again, in shadow and on
the hold-out: a disagreement or a loss there withdraws it. Every step can be killed and repeated by any caller.

Most evaluations find the slot taken, so they import neither pandas nor the checks of a draft.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from homeprices.errors import BundleRefused, HomePricesError, InvalidInput, ObjectNotFound
from homeprices.experiment.evidence import PairedPriceError
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND
from homeprices.pricing.manifest import Manifest
from homeprices.registry import bundle_publisher, bundle_reader, mlflow_mirror, versions
from homeprices.release import candidate_queue, holds, promotion
from homeprices.workflows.candidates import shadow

if TYPE_CHECKING:
    from homeprices.adapters.object_store import Bucket
    from homeprices.data.preparation import Holdout
    from homeprices.release.control_record import Clock
    from homeprices.resources import Resources
    from homeprices.training.challenger import Comparison

LEAST_PRICES = 30
"""Visitors with an actual price, of each candidate, that a choice by actual prices needs. The hold-out has hundreds."""

log = get_logger(__name__)


@dataclass(frozen=True)
class Contender:
    """A candidate that waits, its errors on actual prices beside production's, and its error on the hold-out."""

    version: str
    prices: PairedPriceError
    hold_out: float

    @property
    def price_difference(self) -> float | None:
        """By how much its price error exceeds production's, None with too few actual prices."""
        return self.prices.difference.mean if self.prices.difference.n >= LEAST_PRICES else None


def publish_or_wait(
    resources: Resources, run_id: str, published_by: str, actor: str, clock: Clock = versions.utc_now
) -> tuple[str | None, str | None]:
    """Publish the draft of a run as a candidate; return its version, and why it waits for the slot (None: it has it).

    Without a version, the sentence says why the candidate has left the queue.
    """
    bucket = resources.bucket
    version = bundle_publisher.publish(bucket, run_id, BUNDLE_KIND["candidate"], published_by=published_by, waits=True)
    candidate_queue.drop_oldest(bucket, actor, clock=clock)
    if fill_slot(resources, actor, clock) == version:
        return version, None
    if (why := candidate_queue.why_waiting(bucket).get(version)) is not None:
        return version, f"{version} waits: {why}"
    return None, f"{version} has ended: {promotion.reason_of(bucket, version) or 'its trial is over'}"


def fill_slot(resources: Resources, actor: str, clock: Clock = versions.utc_now) -> str | None:
    """Give a free slot to the best candidate that waits, and return the candidate that has the slot, None without one.

    Raises Unavailable, of the database only if there is something to compare.
    """
    bucket = resources.bucket
    if (taken := candidate_queue.holder(bucket)) is not None:
        bundle_publisher.publish_waiting(bucket, taken)  # a writer may have died between slot and publication
        return taken
    if holds.hold_on(bucket, holds.SHADOW) is not None:
        return None
    waiting = [version for version in candidate_queue.waiting(bucket) if holds.hold_on(bucket, version) is None]
    production = bundle_reader.highest(bucket, BUNDLE_KIND["production"])
    if not waiting or production is None:
        return None
    if len(waiting) == 1 and _compared_with(resources, waiting[0]) == production:
        chosen, reason = waiting[0], "it waited alone"
    else:
        contenders = compare_again(resources, waiting, actor, clock)
        if not contenders:
            return None
        chosen, reason = choose(contenders)
    taken = candidate_queue.take(bucket, chosen, actor, reason, clock=clock)
    if taken == chosen:
        log.info("slot_taken", version=chosen, reason=reason)
        mlflow_mirror.try_sync_registered_model(resources, new=chosen)
    return taken


def try_fill_slot(resources: Resources, actor: str, clock: Clock = versions.utc_now) -> None:
    """Fill the slot after the end of a trial; on a failure, the next evaluation does it."""
    try:
        fill_slot(resources, actor, clock)
    except HomePricesError as error:
        log.warning("slot_not_filled", error=str(error), retry="next evaluation")


def choose(contenders: Sequence[Contender]) -> tuple[str, str]:
    """Return the best of the contenders, and why it is; of two that are equal, the one that waits longer."""
    differences = {each.version: each.price_difference for each in contenders}
    priced = {version: found for version, found in differences.items() if found is not None}
    by_prices = len(priced) == len(contenders)
    errors = priced if by_prices else {each.version: each.hold_out for each in contenders}
    best = min(errors, key=lambda version: (errors[version], versions.number_of(version)))
    measured = "actual prices, less that of production," if by_prices else "the hold-out"
    return best, f"of {len(contenders)} that waited, its error on {measured} is the smallest ({errors[best]:.2%})"


def compare_again(
    resources: Resources, waiting: Sequence[str], actor: str, clock: Clock = versions.utc_now
) -> list[Contender]:
    """Compare each candidate with production again; return those that pass, and withdraw the others."""
    bucket, contenders = resources.bucket, []
    manifests = {}
    for version in waiting:
        try:
            manifests[version] = bundle_reader.read_manifest(bucket, version)
        except ObjectNotFound:  # withdrawn meanwhile
            continue
        except BundleRefused as error:
            _withdraw(bucket, version, actor, f"it is damaged: {error}", clock)
    newest = max(manifests.values(), key=lambda manifest: manifest.dataset.version, default=None)
    holdout = _hold_out(resources, newest) if newest else None
    for version, manifest in manifests.items():
        try:
            found = _judge(resources, manifest, holdout, clock)
        except ObjectNotFound:
            continue
        if isinstance(found, Contender):
            contenders.append(found)
        else:
            _withdraw(bucket, version, actor, found, clock)
    return contenders


def _withdraw(bucket: Bucket, version: str, actor: str, reason: str, clock: Clock) -> None:
    """Withdraw a candidate that waits, unless another process has decided about it since."""
    if version in candidate_queue.waiting(bucket):
        promotion.withdraw(bucket, version, actor, reason, clock=clock)
        log.warning("candidate_withdrawn", version=version, reason=reason)


def _judge(resources: Resources, manifest: Manifest, holdout: Holdout | None, clock: Clock) -> Contender | str:
    """Return the errors of a candidate, or why it leaves the queue."""
    from homeprices.workflows.candidates import publication

    bucket, version, run_id = resources.bucket, manifest.version, run_of(resources.bucket, manifest.version)
    measured = manifest.metrics.get(publication.METRIC, 1.0)

    def store(comparison: Comparison) -> None:
        nonlocal measured
        measured = comparison.form.candidate
        publication.store_comparison(bucket, run_id, comparison)

    with tempfile.TemporaryDirectory() as temporary:
        try:
            folder = bundle_reader.fetch(bucket, version, Path(temporary))
        except BundleRefused as error:
            return f"it is damaged: {error}"
        report = shadow.compare_in_shadow(resources, run_id, folder, clock)
        if report.stopped:
            return report.stopped
        if holdout is not None and (
            objection := publication.hold_out_objection(bucket, folder, holdout, store, version=version)
        ):
            return objection
    return Contender(version, report.prices, measured)


def _hold_out(resources: Resources, newest: Manifest) -> Holdout | None:
    """Return the hold-out of the newest dataset, None if the bucket no longer has it: the manifests have errors too."""
    from homeprices.workflows.candidates import publication

    try:
        return publication.hold_out(resources.bucket, newest)
    except InvalidInput as error:
        log.warning("hold_out_missing", dataset=newest.dataset.version, error=str(error))
        return None


def _compared_with(resources: Resources, version: str) -> str | None:
    """Return the production that a candidate was compared with, in shadow and on the hold-out; None if they differ."""
    from homeprices.workflows.candidates import publication

    page = bundle_reader.staging_folder(run_of(resources.bucket, version)).split("/")[1]
    found = set()
    for key in (f"{publication.GATE_REPORTS}{page}.json", f"{shadow.FOLDER}{page}.json"):
        try:
            found.add(json.loads(resources.bucket.get(key).body)["production"])
        except ObjectNotFound:  # too few homes were logged for a comparison in shadow
            continue
    return str(found.pop()) if len(found) == 1 else None


def run_of(bucket: Bucket, version: str) -> str:
    """Return the run that published a candidate, under whose name its reports are stored."""
    return (bundle_publisher.owner_of(bucket, version) or version).removeprefix("publish:")
