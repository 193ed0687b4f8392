"""What the bucket says: what is released, the history of releases, drift alerts, and which reports are stored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from homeprices.adapters.object_store import Bucket
from homeprices.errors import HomePricesError, ObjectNotFound
from homeprices.foreign_text import LONG, printable
from homeprices.names import BUNDLE_KIND, REGIONAL_KIND, VARIANTS
from homeprices.pricing.manifest import Manifest
from homeprices.registry import bundle_reader, regional_record, versions
from homeprices.release import candidate_queue, control_record, holds, phases
from homeprices.workflows.heartbeat import PROCESSES, last_heartbeat
from monitoring.operations.parts import Data
from monitoring.operations.stored_pages import SHADOW

RELEASES_SHOWN = 12
DRIFT_STATE = "control/drift.json"
DRIFT_REPORT = re.compile(r"reports/drift/(\d{4}-\d\d-\d\dT\d{6})/(production|candidate)\.html")


class BucketParts:
    """Reads the bucket with the right to observe. Bundles never change, so each manifest is read once."""

    def __init__(self, bucket: Bucket, clock: Callable[[], datetime] = versions.utc_now) -> None:
        self._bucket, self._clock = bucket, clock
        self._manifests: dict[str, Manifest] = {}

    def release(self) -> Data:
        """Return what is in production and on trial, the candidate's share, the hold, and who changed it last."""
        record = control_record.read(self._bucket)
        found: Data = {
            "production": bundle_reader.highest(self._bucket, BUNDLE_KIND["production"]),
            "regional": [
                {"version": bundle.version, "places": len(bundle.places), "since": _iso(bundle.since)}
                for bundle in regional_record.read(self._bucket).in_production
            ],
            "candidate": bundle_reader.highest(self._bucket, BUNDLE_KIND["candidate"]),
            "state": record.state,
            "phase": record.phase or (record.experiment and "trial"),
            "phases": phases.models_in(self._bucket, self._clock()),
            "experiment": record.experiment,
            "share": record.share,
            "places": len(record.places),
            "epoch": record.epoch,
            "started_at": _iso(record.started_at),
            "changed_at": _iso(record.updated_at),
            "changed_by": printable(record.updated_by),
            "reason": printable(record.reason, LONG),
            "hold": self._hold(holds.KEY),
            "shadow_hold": self._hold(holds.SHADOW_KEY),
            "waiting": self._waiting(),
            "last_success": {},
        }
        for process in PROCESSES:
            beat = last_heartbeat(self._bucket, process)
            found["last_success"][process] = beat and {"at": _iso(beat.at), "outcome": printable(beat.outcome, LONG)}
        return found

    def releases(self) -> Data:
        """Return the production bundles, newest first, and the candidates that were archived without a promotion."""
        production = bundle_reader.published(self._bucket, BUNDLE_KIND["production"])
        archived = bundle_reader.complete_bundles(self._bucket, f"archive/price_check_{BUNDLE_KIND['candidate']}")
        shown = [self._bundle(version) for version in reversed(production[-RELEASES_SHOWN:])]
        # Of all, because reverts may have moved a promotion out of those that are shown; a manifest is read once.
        all_of_them = [*production, *bundle_reader.published(self._bucket, REGIONAL_KIND)]
        promoted = {self._bundle(version).get("promoted_from") for version in all_of_them}
        ended = [version for version in archived[-RELEASES_SHOWN:] if version not in promoted]
        newest = {"production": shown, "number": len(production), "rolled_back": ended[::-1]}
        return newest | {"shadow": self._shadow()}

    def _shadow(self) -> Data | None:
        """Return the newest shadow comparison of a candidate; None if there is none or it cannot be read."""
        try:
            newest = json.loads(self._bucket.get(f"{SHADOW}newest.json").body)
            return {
                "page": newest["page"],
                "at": newest["at"],
                "production": newest["production"],
                "sentence": printable(newest["sentence"], LONG),
                "stopped": newest["objection"] is not None,
            }
        except (ObjectNotFound, ValueError, KeyError, TypeError):
            return None

    def drift_alerts(self) -> Data:
        """Return the drift alert of each variant, and the newest stored report."""
        try:
            states = json.loads(self._bucket.get(DRIFT_STATE).body).get("arms", {})
        except ObjectNotFound:
            states = {}
        except (ValueError, AttributeError) as error:
            raise HomePricesError(f"{DRIFT_STATE} is damaged: {error}") from error
        return {
            variant: {"alert": _alert(states.get(variant)), "report": self._report(variant)} for variant in VARIANTS
        }

    def _report(self, variant: str) -> str | None:
        """Return the time in the key of the newest report; of the last two months, so that few keys are listed."""
        now = self._clock()
        for month in (now, now.replace(day=1) - timedelta(days=1)):
            entries = self._bucket.list(f"reports/drift/{month:%Y-%m}-")
            times = [
                match[1] for entry in entries if (match := DRIFT_REPORT.fullmatch(entry.key)) and match[2] == variant
            ]
            if times:
                return max(times)
        return None

    def _waiting(self) -> list[Data]:
        """Return the candidates that wait for the slot, each with the reason."""
        reasons = candidate_queue.why_waiting(self._bucket)
        return [self._bundle(version) | {"why": printable(why, LONG)} for version, why in reasons.items()]

    def _hold(self, key: str) -> Data | None:
        held = holds.read(self._bucket, key)
        if held is None:
            return None
        return {
            "version": held.version,
            "by": printable(held.actor),
            "at": _iso(held.at),
            "reason": printable(held.reason, LONG),
        }

    def _bundle(self, version: str) -> Data:
        try:
            if version not in self._manifests:
                self._manifests[version] = bundle_reader.read_manifest(self._bucket, version)
        except HomePricesError as error:  # one damaged manifest must not hide the others
            return {"version": version, "problem": printable(str(error), LONG)}
        manifest = self._manifests[version]
        return {
            "version": version,
            "trained_at": _iso(manifest.created_at),
            "promoted_from": manifest.promoted_from,
            "published_by": printable(manifest.published_by),
            "estimator": printable(manifest.estimator),
            "median_error": manifest.metrics.get("median_ape"),
            "dataset": manifest.dataset.version,
            "git_revision": printable(manifest.git_revision),
        }


def _alert(state: Any) -> Data | None:
    episode = state.get("episode") if isinstance(state, dict) else None
    if not isinstance(episode, dict):
        return None
    return {
        "ongoing": episode.get("ended_at") is None,
        "began_at": str(episode.get("began_at") or "")[:40],
        "features": [printable(str(name)) for name in episode.get("features") or ()],
        "sentence": printable(str(episode.get("sentence") or ""), LONG),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
