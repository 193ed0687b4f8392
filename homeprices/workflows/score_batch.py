"""The steps of a batch job, as the DAG calls them and as a test can: plan, score a partition, finish."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from homeprices.adapters.object_store import RangedBucket
from homeprices.batch.plan import Plan, job_name, make_plan, read_plan
from homeprices.batch.results import PartitionManifest
from homeprices.batch.scoring import done, score_partition
from homeprices.errors import InvalidInput, NotFound, NotReady
from homeprices.names import BUNDLE_KIND
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.manifest import MANIFEST_FILE
from homeprices.pricing.predictor import Predictor
from homeprices.registry import bundle_reader

PRODUCTION = "production"


class JobManifest(BaseModel):
    """The commit mark of a job: what was scored with what, rows counted, and every partition with its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: str
    source: str
    version: str
    finished_at: datetime
    estimated: int
    refused: int
    partitions: tuple[PartitionManifest, ...]


class BatchRun:
    """A job by its name. Each step can be killed and called again, by another process on another machine."""

    def __init__(self, bucket: RangedBucket, job: str) -> None:
        self._bucket, self._job = bucket, job

    def plan(self, source: str, bundle: str, at: datetime) -> list[int]:
        """The numbers of the job's partitions. `bundle` is a version such as BO3, or `production`: the highest BO."""
        version = bundle_reader.highest(self._bucket, BUNDLE_KIND["production"]) if bundle == PRODUCTION else bundle
        if version is None or not bundle_reader.is_complete(self._bucket, version):
            raise InvalidInput({"bundle": f"{bundle!r} is not published; name one such as BO3, or {PRODUCTION}"})
        if bundle == PRODUCTION:
            version = self._planned_version() or version
        return list(range(len(make_plan(self._bucket, self._job, source, version, at).partitions)))

    def _planned_version(self) -> str | None:
        """What was production when the job was planned is what it goes on with."""
        try:
            return read_plan(self._bucket, self._job).version
        except NotFound:
            return None

    def score(self, number: int) -> dict[str, Any]:
        """One partition; answers what it came to."""
        plan = read_plan(self._bucket, self._job)
        if (earlier := done(self._bucket, plan, number)) is None:
            with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
                place = bundle_reader.fetch(self._bucket, plan.version, Path(folder))
                earlier = score_partition(self._bucket, Predictor(Bundle.open(place)), plan, number)
        files = sorted({piece.key for piece in plan.partitions[number]})
        return {"partition": number, "files": files, "estimated": earlier.estimated, "refused": earlier.refused}

    def finish(self, at: datetime) -> dict[str, Any]:
        """Count every partition, write the job's manifest, and answer where it is.

        Raises NotReady for partitions that are not done or lack a file. What no manifest names is removed: the rest
        of an attempt that was made by other code.
        """
        plan = read_plan(self._bucket, self._job)
        found = [done(self._bucket, plan, number) for number in range(len(plan.partitions))]
        sizes = {entry.key: entry.size for entry in self._bucket.list(f"{plan.folder}partitions/")}
        named: set[str] = set()
        missing = []
        partitions = []
        for number, manifest in enumerate(found):
            folder = plan.partition_folder(number)
            files = manifest.files if manifest else {}
            if manifest is None or any(sizes.get(folder + name) != held.size for name, held in files.items()):
                missing.append(str(number))
                continue
            partitions.append(manifest)
            named |= {folder + MANIFEST_FILE, *(folder + name for name in files)}
        if missing:
            raise NotReady(f"{len(missing)} of {len(found)} partitions are not done: {', '.join(missing[:20])}")
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
        )
        key = plan.folder + MANIFEST_FILE
        self._bucket.put(key, manifest.model_dump_json(indent=1).encode())
        return {"manifest": key, **manifest.model_dump(mode="json", include={"version", "estimated", "refused"})}


def open_job(name: str) -> BatchRun:
    """The job of this name (any text) in the bucket of this process's settings."""
    from homeprices.adapters.object_store import open_bucket
    from homeprices.settings import load_settings

    return BatchRun(open_bucket(load_settings()), job_name(name))
