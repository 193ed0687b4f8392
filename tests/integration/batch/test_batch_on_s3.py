"""A batch job against a real S3 server: workers in processes of their own, one of which is killed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from homeprices.adapters.object_store import S3Bucket
from homeprices.workflows.score_batch import BatchRun
from tests.support.bundles import make_bundle
from tests.support.factories import NOW, parquet, table
from tests.support.servers import clean_environment

ROOT = Path(__file__).parents[3]
FILES, ROWS = 6, 60_000
WORKER = """
import sys
from homeprices.workflows.score_batch import open_job
job = open_job(sys.argv[1])
for number in map(int, sys.argv[2:]):
    print(number, flush=True)
    job.score(number)
"""


@pytest.fixture(scope="module")
def bucket(s3: S3Bucket, tmp_path_factory: pytest.TempPathFactory) -> S3Bucket:
    """A real bucket of the module."""
    folder = make_bundle(tmp_path_factory.mktemp("bundle"), "BO1")
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    for path in [*paths, folder / "manifest.json"]:
        s3.put(f"models/price_check_BO1/{path.relative_to(folder).as_posix()}", path.read_bytes())
    for number in range(FILES):
        s3.put(f"in/{number}.parquet", parquet(table(ROWS, seed=number), group_rows=20_000))
    return s3


@pytest.fixture
def small_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the size of a partition so that few rows make several."""
    monkeypatch.setattr("homeprices.batch.plan.TARGET_ROWS", 20_000)


def worker(settings: dict[str, str], job: str, partitions: list[int]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, job, *map(str, partitions)]
    environment = {**clean_environment(), **settings, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def ids_of(bucket: S3Bucket, job: str) -> Counter[tuple[str, int]]:
    """How often each row of each file has an estimate."""
    found: Counter[tuple[str, int]] = Counter()
    for entry in bucket.list(f"batch/{job}/partitions/"):
        if entry.key.endswith(".parquet"):
            rows = pq.read_table(io.BytesIO(bucket.get(entry.key).body), columns=["file", "row"])
            found.update(zip(rows["file"].to_pylist(), rows["row"].to_pylist(), strict=True))
    return found


def test_two_workers_share_a_job_and_a_killed_one_loses_and_doubles_nothing(
    bucket: S3Bucket, s3_settings: dict[str, str], small_partitions: None
) -> None:
    run = BatchRun(bucket, "shared")
    partitions = run.plan("in/", "production", NOW)
    assert len(partitions) == FILES * 3
    doomed = worker(s3_settings, "shared", partitions[::2])
    other = worker(s3_settings, "shared", partitions[1::2])
    assert doomed.stdout is not None
    for _ in range(2):  # it is in the middle of its second partition
        doomed.stdout.readline()
    os.kill(doomed.pid, signal.SIGKILL)
    assert doomed.wait(timeout=60) == -signal.SIGKILL
    doomed.stdout.close()
    other.communicate(timeout=300)
    assert other.returncode == 0
    again = worker(s3_settings, "shared", partitions)
    again.communicate(timeout=300)
    assert again.returncode == 0
    assert run.finish(NOW)["estimated"] == FILES * ROWS
    rows = ids_of(bucket, "shared")
    assert len(rows) == FILES * ROWS and set(rows.values()) == {1}


def test_a_file_is_read_in_pieces_and_never_as_a_whole(
    bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch, small_partitions: None
) -> None:
    run = BatchRun(bucket, "pieces")
    run.plan("in/0", "production", NOW)
    size = next(entry.size for entry in bucket.list("in/0"))
    read: list[int] = []
    original = S3Bucket.get_range

    def noted(self: S3Bucket, key: str, start: int, length: int, *, if_match: str | None = None) -> bytes:
        body = original(self, key, start, length, if_match=if_match)
        read.append(len(body))
        return body

    monkeypatch.setattr(S3Bucket, "get_range", noted)
    run.score(1)
    assert max(read) > 0 and sum(read) < 0.6 * size, "one of three row groups, and the end of the file"
