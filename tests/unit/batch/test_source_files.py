"""What a batch job scores, and what it leaves beside: every file is one or the other, and is said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from homeprices.adapters.object_store import Entry, MemoryBucket
from homeprices.batch import source_files
from homeprices.batch.plan import make_plan, read_plan
from homeprices.batch.source_files import SourceFiles, reason_to_skip
from homeprices.errors import InvalidInput
from homeprices.workflows.score_batch import BatchRun
from tests.support.factories import NOW, parquet, table

CSV = b"total_sqft,location,bhk,bath\n1200,Whitefield,2,2\n"

DATA = [
    "homes.csv",
    "Homes.CSV",
    "part-00000-3c1e.c000.snappy.parquet",
    "year=2026/month=11/homes.csv",
    "_year=2026/homes.csv",
    "homes - Copy (1).csv",
    "tmp/homes.csv",
    "2025.bak/homes.csv",
    "homes.tmp.csv",
    "ghar ~ makaan.csv",
]
LEFT = {
    "hidden": [
        "_SUCCESS",
        "_committed_4711",
        "_started_4711",
        "_metadata",
        "_common_metadata",
        "_homes.csv",
        ".homes.csv",
        ".ipynb_checkpoints/homes-checkpoint.csv",
        "_temporary/0/part-0.parquet",
        "_delta_log/00000000000000000000.checkpoint.parquet",
        ".git/homes.csv",
        ".~lock.homes.csv#",
        "deep/er/_spark_metadata/0.parquet",
    ],
    "system": [
        ".DS_Store",
        "._homes.csv",
        "__MACOSX/._homes.csv",
        "__MACOSX/homes.csv",
        "Thumbs.db",
        "ehthumbs.db",
        "Desktop.ini",
        "$RECYCLE.BIN/homes.csv",
        "@eaDir/homes.csv",
        "lost+found/homes.csv",
    ],
    "temporary": [
        "homes.csv.tmp",
        "homes.csv~",
        "~$homes.xlsx",
        "~$homes.csv",
        "#homes.csv#",
        ".homes.csv.swp",
        "homes.csv.part",
        "homes.csv.crdownload",
        "homes.csv.bak",
        "HOMES.CSV.TMP",
    ],
    "checksum": [
        ".part-0.parquet.crc",
        "homes.csv.md5",
        "homes.csv.sha256",
        "SHA256SUMS",
        "MD5SUMS.txt",
        "checksums.txt",
        "homes.csv.asc",
    ],
    "not_read": [
        "homes.csv.gz",
        "homes.tsv",
        "homes.xlsx",
        "homes.zip",
        "homes.parquet.gz",
        "homes.orc",
        "homes.avro",
        "homes",
        "README.md",
        "homes.csv.bz2",
    ],
    "marker": ["deep/", "deep_$folder$"],
}


@pytest.mark.parametrize("source", ["in/", "in"])
@pytest.mark.parametrize("name", DATA)
def test_a_data_file_is_scored_however_it_is_named(name: str, source: str) -> None:
    assert reason_to_skip(Entry(f"in/{name}", 1, ""), source) is None


@pytest.mark.parametrize("source", ["in/", "in"])
@pytest.mark.parametrize(("reason", "name"), [(reason, name) for reason, names in LEFT.items() for name in names])
def test_what_was_left_beside_the_data_is_not_scored(reason: str, name: str, source: str) -> None:
    size = 0 if reason == "marker" else 1
    assert reason_to_skip(Entry(f"in/{name}", size, ""), source) == reason


@pytest.mark.parametrize("source", ["_in/", "_in/.day/", "_in/.day/_ho", "_in/.day/_homes.csv", ".~/x/_in/"])
def test_names_that_the_source_itself_has_are_meant(source: str) -> None:
    key = "_in/.day/_homes.csv"
    wanted = "hidden" if source in ("_in/", "_in/.day/") else None
    if source.startswith(".~"):
        key, wanted = ".~/x/_in/homes.csv", None
    assert reason_to_skip(Entry(key, 1, ""), source) == wanted


def test_a_file_named_in_full_is_scored_whatever_its_name() -> None:
    assert reason_to_skip(Entry("in/._a.csv", 1, ""), "in/._a.csv") is None
    assert reason_to_skip(Entry("in/a.csv.gz", 1, ""), "in/a.csv.gz") == "not_read"


def test_an_empty_file_is_said_to_be_empty() -> None:
    assert reason_to_skip(Entry("in/a.csv", 0, ""), "in/") == "empty"
    assert reason_to_skip(Entry("in/_SUCCESS", 0, ""), "in/") == "hidden"


def test_the_keys_that_are_named_are_bounded_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_files, "NAMED", 3)
    entries = [Entry(f"in/.{number}.crc", 10, "") for number in range(50)]
    (skipped,) = SourceFiles(entries, "in/").skipped
    assert (skipped.files, skipped.bytes, len(skipped.keys)) == (50, 500, 3)


@pytest.fixture
def inbox(bucket: MemoryBucket) -> MemoryBucket:
    """A bucket with files of data, and with what else lies beside them."""
    bucket.put("in/homes.csv", CSV)
    bucket.put("in/part-0.parquet", parquet(table(10)))
    bucket.put("in/none.parquet", parquet(table(10).slice(0, 0)))
    for names in LEFT.values():
        for name in names:
            bucket.put(f"in/{name}", b"" if name.endswith(("/", "$")) else CSV)
    return bucket


def scored(bucket: MemoryBucket, job: str) -> dict[str, Any]:
    run = BatchRun(bucket, job)
    for number in run.plan("in/", "production", NOW):
        run.score(number)
    finished = run.finish(NOW)
    return {**json.loads(bucket.get(str(finished["manifest"])).body), "skipped_files": finished["skipped_files"]}


def test_a_job_scores_the_data_and_says_what_it_left(inbox: MemoryBucket, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = scored(inbox, "job")
    assert (manifest["estimated"], manifest["refused"]) == (11, 0)
    said = {one["reason"]: {key.removeprefix("in/") for key in one["keys"]} for one in manifest["skipped"]}
    assert said == {**{reason: set(names) for reason, names in LEFT.items()}, "no_rows": {"none.parquet"}}
    assert manifest["skipped_files"] == 1 + sum(map(len, LEFT.values()))
    assert (
        manifest["skipped"][0]["meaning"] == "left alone, because only .parquet, .csv, .json, .jsonl, .ndjson are read"
    )
    log = capsys.readouterr().out
    assert log.count("batch_files_skipped") == len(said)
    assert "in/homes.csv.gz" in log


def test_a_job_without_such_files_says_nothing(bucket: MemoryBucket, capsys: pytest.CaptureFixture[str]) -> None:
    bucket.put("in/homes.csv", CSV)
    assert scored(bucket, "job")["skipped"] == []
    assert "batch_files_skipped" not in capsys.readouterr().out


def test_where_nothing_remains_the_error_lists_what_was_seen(bucket: MemoryBucket) -> None:
    bucket.put("in/homes.csv.gz", b"x")
    bucket.put("in/_SUCCESS", b"")
    for number in range(5):
        bucket.put(f"in/{number}.xlsx", b"x")
    bucket.put("in/none.parquet", parquet(table(1).slice(0, 0)))
    with pytest.raises(InvalidInput) as refused:
        make_plan(bucket, "job", "in/", "BO1", NOW)
    assert refused.value.fields["source"] == (
        "there is no data file with content under 'in/': 6 left alone, because only "
        ".parquet, .csv, .json, .jsonl, .ndjson are "
        "read ('in/0.xlsx', 'in/1.xlsx', 'in/2.xlsx', ...); 1 without a row ('in/none.parquet'); 1 hidden, or left by "
        "the program that wrote the data ('in/_SUCCESS')"
    )
    with pytest.raises(InvalidInput, match="no key begins so"):
        make_plan(bucket, "job", "nowhere/", "BO1", NOW)
    assert not list(bucket.list("batch/"))


def test_a_plan_from_before_it_named_what_it_skipped_is_still_a_plan(bucket: MemoryBucket) -> None:
    bucket.put("in/homes.csv", CSV)
    plan = json.loads(make_plan(bucket, "job", "in/", "BO1", NOW).model_dump_json())
    del plan["skipped"]
    bucket.put("batch/job/plan.json", json.dumps(plan).encode())
    assert read_plan(bucket, "job").skipped == ()
