"""Plans: what a job scores, in which pieces, decided once."""

from __future__ import annotations

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.batch import plan as planning
from homeprices.batch.plan import job_name, make_plan, read_plan
from homeprices.errors import Conflict, HomePricesError, InvalidInput, NotFound
from tests.support.factories import NOW, parquet, table


def test_a_large_file_is_cut_between_row_groups(bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "TARGET_ROWS", 250)
    bucket.put("in/a.parquet", parquet(table(1_000), group_rows=100))
    plan = make_plan(bucket, "job", "in/", "BO1", NOW)
    slices = [piece for group in plan.partitions for piece in group]
    assert [(piece.first_row, piece.rows, piece.groups) for piece in slices] == [
        (0, 300, 3),
        (300, 300, 3),
        (600, 300, 3),
        (900, 100, 1),
    ]
    assert len(plan.partitions) == 4


def test_small_files_share_a_partition(bucket: MemoryBucket) -> None:
    for name in "abc":
        bucket.put(f"in/{name}.parquet", parquet(table(10)))
    bucket.put("in/d.csv", b"total_sqft,location,bhk,bath\n")
    plan = make_plan(bucket, "job", "in/", "BO1", NOW)
    assert [[piece.key[-9:] for piece in group] for group in plan.partitions] == [
        ["a.parquet", "b.parquet", "c.parquet"],
        ["in/d.csv"[-9:]],
    ]


def test_there_are_never_more_partitions_than_airflow_maps(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "MAX_PARTITIONS", 3)
    for number in range(8):
        bucket.put(f"in/{number}.csv", b"total_sqft,location,bhk,bath\n")
    plan = make_plan(bucket, "job", "in/", "BO1", NOW)
    assert [len(group) for group in plan.partitions] == [3, 3, 2]


def test_a_plan_is_made_once(bucket: MemoryBucket) -> None:
    bucket.put("in/a.parquet", parquet(table(10)))
    first = make_plan(bucket, "job", "in/", "BO1", NOW)
    bucket.put("in/b.parquet", parquet(table(10)))
    assert make_plan(bucket, "job", "in/", "BO1", NOW) == first == read_plan(bucket, "job")


def test_a_job_that_is_about_something_else_is_refused(bucket: MemoryBucket) -> None:
    bucket.put("in/a.parquet", parquet(table(10)))
    make_plan(bucket, "job", "in/", "BO1", NOW)
    with pytest.raises(Conflict, match="the job job scores in/ with BO1, not in/ with BO2; take another name"):
        make_plan(bucket, "job", "in/", "BO2", NOW)


@pytest.mark.parametrize("source", ["", "models/", "control/x", "batch/job/"])
def test_a_source_that_holds_no_homes_by_its_nature_is_refused(bucket: MemoryBucket, source: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make_plan(bucket, "job", source, "BO1", NOW)
    assert "is not a prefix of files to score" in refused.value.fields["source"]


def test_a_source_without_files_is_refused(bucket: MemoryBucket) -> None:
    bucket.put("in/readme.txt", b"hello")
    bucket.put("in/empty.csv", b"")
    with pytest.raises(InvalidInput) as refused:
        make_plan(bucket, "job", "in/", "BO1", NOW)
    said = "there is no data file with content under 'in/': 1 left alone"
    assert refused.value.fields["source"].startswith(said)


def test_too_many_files_are_refused(bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAX_FILES", 1)
    for name in "ab":
        bucket.put(f"in/{name}.csv", b"x")
    with pytest.raises(InvalidInput) as refused:
        make_plan(bucket, "job", "in/", "BO1", NOW)
    assert "2 files under 'in/'; at most 1" in refused.value.fields["source"]


def test_a_file_that_is_no_parquet_is_named(bucket: MemoryBucket) -> None:
    bucket.put("in/a.parquet", b"PAR1 and no more of it")
    with pytest.raises(InvalidInput) as refused:
        make_plan(bucket, "job", "in/", "BO1", NOW)
    assert "is no Parquet file" in refused.value.fields["in/a.parquet"]


def test_a_damaged_plan_is_named(bucket: MemoryBucket) -> None:
    bucket.put("batch/job/plan.json", b"{}")
    with pytest.raises(HomePricesError, match=r"batch/job/plan\.json is not a plan"):
        read_plan(bucket, "job")
    with pytest.raises(NotFound, match="there is no job other"):
        read_plan(bucket, "other")


@pytest.mark.parametrize("job", ["", "a/b", "../x", ".hidden", "x" * 121])
def test_what_is_no_name_of_a_job_is_refused(bucket: MemoryBucket, job: str) -> None:
    with pytest.raises(InvalidInput):
        make_plan(bucket, job, "in/", "BO1", NOW)


def test_the_name_of_a_run_becomes_the_name_of_a_job() -> None:
    assert job_name("manual__2026-01-05T06:00:00+00:00") == "manual__2026-01-05T06_00_00_00_00"
    assert job_name("///") == "job"
