"""Steps of the batch DAG: plan, score one partition, finish."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from homeprices.adapters.object_store import RangedBucket
from homeprices.batch.plan import Plan, job_name, make_plan, read_plan
from homeprices.batch.results import MOST_NOTES, PartitionManifest
from homeprices.batch.scoring import done, score_partition
from homeprices.batch.source_files import Skipped
from homeprices.errors import InvalidInput, NotFound, NotReady
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.manifest import MANIFEST_FILE
from homeprices.pricing.predictor import Predictor
from homeprices.registry import bundle_reader, place_price_tables

PRODUCTION = "production"

log = get_logger(__name__)


class JobManifest(BaseModel):
    """The manifest that commits a job: source, bundle version, row counts, the files of every partition, and the files
    under `source` that were not scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: str
    source: str
    version: str
    finished_at: datetime
    estimated: int
    refused: int
    partitions: tuple[PartitionManifest, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    """Those of the partitions, up to MOST_NOTES."""


class BatchRun:
    """A batch job. Each step can be killed and repeated by another process on another machine."""

    def __init__(self, bucket: RangedBucket, job: str) -> None:
        self._bucket, self._job = bucket, job

    def plan(self, source: str, bundle: str, at: datetime) -> list[int]:
        """Record the plan; return its partition numbers. `bundle` is `production` (the highest BO), or a version."""
        version = bundle_reader.highest(self._bucket, BUNDLE_KIND["production"]) if bundle == PRODUCTION else bundle
        if version is None or not bundle_reader.is_complete(self._bucket, version):
            raise InvalidInput({"bundle": f"{bundle!r} is not published; name one such as BO3, or {PRODUCTION}"})
        if bundle == PRODUCTION:
            version = self._planned_version() or version
        plan = make_plan(self._bucket, self._job, source, version, at, self._newest_place_prices(version))
        for one in plan.skipped:
            say = (
                log.warning if one.reason == "not_read" else log.info
            )  # a skipped file may be data that somebody wanted to score
            say("batch_files_skipped", job=self._job, source=source, **one.model_dump())
        return list(range(len(plan.partitions)))

    def _planned_version(self) -> str | None:
        """Return the version of an earlier plan of this job: a resumed job keeps its bundle after a promotion."""
        try:
            return read_plan(self._bucket, self._job).version
        except NotFound:
            return None

    def _newest_place_prices(self, version: str) -> int | None:
        """Return the version of the place prices for a bundle that uses them: every partition has the same levels."""
        if bundle_reader.read_manifest(self._bucket, version).place_prices_as_of is None:
            return None
        found = place_price_tables.newest(self._bucket)
        return found[0].version if found else None

    def _open(self, plan: Plan, folder: Path) -> Predictor:
        """Return the model of a plan, at the levels of its place prices."""
        predictor = Predictor(Bundle.open(bundle_reader.fetch(self._bucket, plan.version, folder)))
        if plan.place_prices is not None:
            predictor.use_place_prices(
                place_price_tables.verified(*place_price_tables.read(self._bucket, plan.place_prices))
            )
        return predictor

    def score(self, number: int) -> dict[str, Any]:
        """Score one partition unless it is done; return its files and row counts."""
        plan = read_plan(self._bucket, self._job)
        if (earlier := done(self._bucket, plan, number)) is None:
            with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
                earlier = score_partition(self._bucket, self._open(plan, Path(folder)), plan, number)
        files = sorted({piece.key for piece in plan.partitions[number]})
        return {"partition": number, "files": files, "estimated": earlier.estimated, "refused": earlier.refused}

    def finish(self, at: datetime) -> dict[str, Any]:
        """Write the job's manifest; return its key and counts.

        Removes files that no partition's manifest names, left by an attempt of another release. Raises NotReady for
        partitions that are not done or lack a file.
        """
        plan = read_plan(self._bucket, self._job)
        manifests = [done(self._bucket, plan, number) for number in range(len(plan.partitions))]
        sizes = {entry.key: entry.size for entry in self._bucket.list(f"{plan.folder}partitions/")}
        named: set[str] = set()
        missing = []
        partitions = []
        for number, manifest in enumerate(manifests):
            folder = plan.partition_folder(number)
            files = manifest.files if manifest else {}
            if manifest is None or any(sizes.get(folder + name) != file.size for name, file in files.items()):
                missing.append(str(number))
                continue
            partitions.append(manifest)
            named |= {folder + MANIFEST_FILE, *(folder + name for name in files)}
        if missing:
            raise NotReady(f"{len(missing)} of {len(manifests)} partitions are not done: {', '.join(missing[:20])}")
        for key in sizes.keys() - named:
            self._bucket.delete(key)
        return self._commit(plan, tuple(partitions), at)

    def _commit(self, plan: Plan, partitions: tuple[PartitionManifest, ...], at: datetime) -> dict[str, Any]:
        manifest = JobManifest(
            job=plan.job,
            source=plan.source,
            version=plan.version,
            finished_at=at,
            estimated=sum(one.estimated for one in partitions),
            refused=sum(one.refused for one in partitions),
            partitions=partitions,
            skipped=plan.skipped,
            notes=tuple(dict.fromkeys(note for one in partitions for note in one.notes))[:MOST_NOTES],
        )
        key = plan.folder + MANIFEST_FILE
        self._bucket.put(key, manifest.model_dump_json(indent=1).encode())
        counts = manifest.model_dump(mode="json", include={"version", "estimated", "refused"})
        return {"manifest": key, **counts, "skipped_files": sum(one.files for one in plan.skipped)}


def open_job(name: str) -> BatchRun:
    """Return the job of this name (any text) in the bucket of this process's settings."""
    from homeprices.adapters.object_store import open_bucket
    from homeprices.settings import load_settings

    return BatchRun(open_bucket(load_settings()), job_name(name))
