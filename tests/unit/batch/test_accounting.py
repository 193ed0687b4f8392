"""The benchmark of a batch job in Airflow finds rows that are missing, doubled or misjudged."""

from pathlib import Path

import pytest

from benchmarks import batch_in_airflow
from homeprices.adapters.object_store import MemoryBucket
from homeprices.workflows.score_batch import BatchRun
from tests.support.bundles import make_bundle
from tests.support.factories import NOW

ROWS = 3_000
RIGHT = {"estimated": 2_997, "refused": 3, "lost": 0, "doubled": 0, "misjudged": 0}


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryBucket:
    """A job that is done: two files of homes, every thousandth of which is broken."""
    monkeypatch.setattr(batch_in_airflow, "FILE_ROWS", 2_000)
    bucket = MemoryBucket()
    folder = make_bundle(tmp_path / "bundle", "BO1")
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.put(f"models/price_check_BO1/{path.relative_to(folder).as_posix()}", path.read_bytes())
    for number, body in enumerate(batch_in_airflow.homes(ROWS)):
        bucket.put(f"in/homes-{number:03}.parquet", body)
    run = BatchRun(bucket, "job")
    for number in run.plan("in/", "production", NOW):
        run.score(number)
    run.finish(NOW)
    return bucket


def results(bucket: MemoryBucket, suffix: str) -> list[str]:
    return [entry.key for entry in bucket.list("batch/job/partitions/") if entry.key.endswith(suffix)]


def test_every_row_is_there_once(bucket: MemoryBucket) -> None:
    assert batch_in_airflow.account(bucket, "job", ROWS) == RIGHT


@pytest.mark.parametrize(("suffix", "lost"), [(".parquet", 2_997), (".jsonl", 3)])
def test_rows_that_are_missing_are_counted(bucket: MemoryBucket, suffix: str, lost: int) -> None:
    for key in results(bucket, suffix):
        bucket.delete(key)
    assert batch_in_airflow.account(bucket, "job", ROWS)["lost"] == lost


def test_rows_that_are_there_twice_are_counted(bucket: MemoryBucket) -> None:
    [part, *_] = results(bucket, ".parquet")
    bucket.copy(part, part.replace("part-", "part-9"))
    assert batch_in_airflow.account(bucket, "job", ROWS)["doubled"] > 0


def test_a_sound_row_that_was_refused_is_counted(bucket: MemoryBucket) -> None:
    [lines, *_] = results(bucket, ".jsonl")
    sound = bucket.get(lines).body.replace(b'"row":0', b'"row":1').replace(b'"row": 0', b'"row": 1')
    bucket.put(lines.replace("refused-", "refused-9"), sound)
    assert batch_in_airflow.account(bucket, "job", ROWS)["misjudged"] > 0
