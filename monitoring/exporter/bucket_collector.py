"""Collector of the bucket: bundles, the experiment, the last success of each process, and failed notifications."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import get_args

from homeprices.adapters import notifications
from homeprices.adapters.notifications import CHANNELS
from homeprices.adapters.object_store import Bucket
from homeprices.errors import ObjectNotFound
from homeprices.names import BUNDLE_KIND, Phase
from homeprices.pricing.manifest import MANIFEST_FILE, Manifest
from homeprices.registry import bundle_reader, regional_record, versions
from homeprices.release import control_record, experiment_record, phases
from homeprices.workflows.heartbeat import PROCESSES, last_heartbeat
from monitoring.exporter.metric_table import Sample


class BucketCollector:
    """Reads the bucket. Bundles are immutable, so each manifest is read once."""

    name = "bucket"

    def __init__(self, bucket: Bucket, clock: Callable[[], datetime] = versions.utc_now) -> None:
        self._bucket, self._clock = bucket, clock
        self._manifests: dict[str, Manifest] = {}
        self.record = experiment_record.ControlRecord()

    def collect(self) -> list[Sample]:
        """Return the current samples. Raises StorageUnavailable."""
        self.record = control_record.read(self._bucket)
        return [
            *self._bundles(),
            *self._processes(),
            *_experiment(self.record),
            *self._phases(),
            *self._notices(),
        ]

    def _bundles(self) -> Iterator[Sample]:
        for variant, kind in BUNDLE_KIND.items():
            version = bundle_reader.highest(self._bucket, kind)
            manifest = version and self._manifest(versions.folder(version), version)
            if not manifest:
                continue
            labels = {"variant": variant, "kind": kind}
            yield Sample("homeprices_bundle_number", versions.number_of(manifest.version), labels)
            yield Sample("homeprices_bundle_created_timestamp_seconds", manifest.created_at.timestamp(), labels)
            for metric, value in manifest.metrics.items():
                yield Sample("homeprices_bundle_metric", value, {**labels, "metric": metric})
        # Always a series, because a panel without one looks as if the exporter did not answer.
        places = {bundle.version: len(bundle.places) for bundle in regional_record.read(self._bucket).in_production}
        for version, number in (places or {"none": 0}).items():
            yield Sample("homeprices_regional_places", number, {"version": version})

    def _processes(self) -> Iterator[Sample]:
        for process in PROCESSES:
            note = last_heartbeat(self._bucket, process)
            moments = [note.at] if note else []
            if process == "training" and (published := self._newest_training()):
                moments.append(published)
            if moments:
                name = "homeprices_process_last_success_timestamp_seconds"
                yield Sample(name, max(moments).timestamp(), {"process": process})

    def _phases(self) -> Iterator[Sample]:
        """Export every phase: production may bake while one candidate is on trial, and others wait."""
        found = phases.models_in(self._bucket, self._clock())
        for phase in get_args(Phase):
            yield Sample("homeprices_experiment_phase", float(phase in found), {"phase": phase})

    def _notices(self) -> Iterator[Sample]:
        """Export a zero for every channel, because the first failure is an increase only if a zero preceded it."""
        for channel, number in {**dict.fromkeys(CHANNELS, 0), **notifications.failed_deliveries(self._bucket)}.items():
            yield Sample("homeprices_notifications_failed", number, {"channel": channel})

    def _newest_training(self) -> datetime | None:
        """Return when the newest bundle was trained, including archived candidates."""
        archived = bundle_reader.complete_bundles(self._bucket, "archive/price_check_CO")
        places = [(versions.archive_folder(v), v) for v in archived[-1:]]
        places += [
            (versions.folder(v), v) for kind in BUNDLE_KIND.values() if (v := bundle_reader.highest(self._bucket, kind))
        ]
        manifests = [self._manifest(folder, version) for folder, version in places]
        return max((manifest.created_at for manifest in manifests if manifest), default=None)

    def _manifest(self, folder: str, version: str) -> Manifest | None:
        if version not in self._manifests:
            try:
                body = self._bucket.get(folder + MANIFEST_FILE).body
            except ObjectNotFound:  # archived between the listing and the read
                return None
            self._manifests[version] = Manifest.model_validate_json(body)
        return self._manifests[version]


def _experiment(record: experiment_record.ControlRecord) -> Iterator[Sample]:
    running = record.state == "running"
    yield Sample("homeprices_experiment_running", float(running))
    yield Sample("homeprices_experiment_stopped", float(record.state == "stopped"))
    share = record.share / 100 if running else 0.0
    yield Sample("homeprices_experiment_planned_share", share, {"variant": "candidate"})
    yield Sample("homeprices_experiment_planned_share", 1 - share, {"variant": "production"})
    if running and record.started_at:
        yield Sample("homeprices_experiment_started_timestamp_seconds", record.started_at.timestamp())
