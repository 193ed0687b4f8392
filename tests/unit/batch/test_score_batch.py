"""A job from plan to manifest: counts, digests, refused rows, and what is asked for twice or broken off."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.batch import results, scoring
from homeprices.batch.plan import read_plan
from homeprices.errors import BundleRefused, Conflict, DatasetRefused, InvalidInput, NotReady
from homeprices.pricing.predictor import Predictor
from homeprices.tables.lines import BLOCK_BYTES
from homeprices.workflows.score_batch import BatchRun
from tests.support.bundles import price
from tests.support.factories import NOW, parquet, table
from tests.support.faulty_bucket import DyingBucket, Killed

CSV = (
    b"\xef\xbb\xbftotal_sqft,location,bhk,bath,id,price\n"
    b"1200,Whitefield,2,2,first,50\n"
    b"12,Whitefield,2,2,small,50\n"
    b"1500,,2,2,nowhere,50\n"
    b'1500," Indira   Nagar ",3,two,words,50\n'
    b"2400,Somewhere,4,3,last,50\n"
)


def scored(bucket: MemoryBucket, source: str = "in/") -> dict[str, Any]:
    run = BatchRun(bucket, "job")
    for number in run.plan(source, "production", NOW):
        run.score(number)
    return run.finish(NOW)


def estimates(bucket: MemoryBucket) -> list[dict[str, Any]]:
    keys = [entry.key for entry in bucket.list("batch/job/partitions/") if entry.key.endswith(".parquet")]
    return [row for key in keys for row in pq.read_table(io.BytesIO(bucket.get(key).body)).to_pylist()]


def test_rows_of_a_csv_file_are_estimated_or_refused_with_reasons(bucket: MemoryBucket) -> None:
    bucket.put("in/homes.csv", CSV)
    counted = {"version": "BO1", "estimated": 2, "refused": 3, "skipped_files": 0}
    assert scored(bucket) == {"manifest": "batch/job/manifest.json", **counted}
    first, last = estimates(bucket)
    assert (first["file"], first["row"], first["id"]) == ("in/homes.csv", 0, "first")
    assert first["estimated_price"] == pytest.approx(price(1200, "Whitefield", 2), rel=1e-5)
    assert first["low"] == first["estimated_price"] * 0.7 and first["high"] == first["estimated_price"] * 1.5
    assert (last["row"], last["location"], last["location_known"]) == (4, "other", False)
    lines = bucket.get("batch/job/partitions/00000/refused-00000.jsonl").body.decode().splitlines()
    refused = {line["row"]: line["reasons"] for line in map(json.loads, lines)}
    assert refused == {
        1: {"total_sqft": "must be a number from 100 to 100,000 square feet; it is “12”"},
        2: {"location": "is required"},
        3: {"bath": "must be a whole number from 1 to 50; it is “two”"},
    }


@pytest.mark.parametrize(
    ("name", "cell", "others", "problem"),
    [
        ("bath", True, 2.0, "must be a number, not true or false; it is “true”"),
        ("bath", True, 2, "must be a number, not true or false; it is “true”"),
        ("location", 560066, "Whitefield", "must be text of 1 to 100 characters; it is “560066”"),
        ("society", 5, "Soc", "must be text of 1 to 100 characters; it is “5”"),
    ],
)
def test_a_cell_of_another_type_is_refused_whatever_the_other_homes_have(
    bucket: MemoryBucket, name: str, cell: Any, others: Any, problem: str
) -> None:
    home = {"total_sqft": 1200.5, "location": "Here", "bhk": 2, "bath": 2, name: others}
    bucket.put("in/homes.jsonl", "\n".join(map(json.dumps, [home, home | {name: cell}, home])).encode())
    assert scored(bucket)["estimated"] == 2
    [line] = bucket.get("batch/job/partitions/00000/refused-00000.jsonl").body.decode().splitlines()
    assert (json.loads(line)["row"], json.loads(line)["reasons"]) == (1, {name: problem})


UNITS: list[tuple[str, Any, float | None]] = [
    ("Sq. Yards", 100, 900.0),
    ("", 900, 900.0),
    ("N/A", 900, 900.0),
    ("bigha", 100, None),
    ("gaj", "100", 900.0),
]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_column_of_units_beside_the_area_is_honoured_and_an_unknown_unit_refuses_its_row(
    bucket: MemoryBucket, form: str
) -> None:
    rows = [
        {
            "total_sqft": area if form != "parquet" else int(area),
            "area_unit": unit,
            "location": "Here",
            "bhk": 2,
            "bath": 2,
        }
        for unit, area, _ in UNITS
    ]
    if form == "csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        bucket.put("in/homes.csv", "\n".join(lines).encode())
    elif form == "jsonl":
        bucket.put("in/homes.jsonl", "\n".join(map(json.dumps, rows)).encode())
    else:
        bucket.put("in/homes.parquet", parquet(pa.Table.from_pylist(rows)))
    assert scored(bucket)["refused"] == 1
    prices = [one["estimated_price"] for one in estimates(bucket)]
    assert prices == pytest.approx([price(area, "Here", 2) for *_, area in UNITS if area], rel=1e-5)
    refused = json.loads(bucket.get("batch/job/partitions/00000/refused-00000.jsonl").body)
    assert (refused["row"], list(refused["reasons"])) == (3, ["area_unit"])
    assert refused["reasons"]["area_unit"].endswith("or nothing; found 'bigha'")


def test_the_manifest_says_what_was_found_in_a_table_and_which_columns_are_not_used(bucket: MemoryBucket) -> None:
    bucket.put("in/a.csv", b"total_sqft;location;bhk;bath;area_unit;agent\n100;Here;2;2;gaj;x\n")
    bucket.put("in/b.csv", b"total_sqft,location,bhk,bath\n900,Here,2,2\n")
    scored(bucket)
    manifest = json.loads(bucket.get("batch/job/manifest.json").body)
    assert manifest["notes"] == [
        "in/a.csv: cells are separated by semicolons",
        "in/a.csv: area_unit: honoured as the unit of total_sqft",
        "in/a.csv: ignored columns: agent",
    ]
    assert [one["notes"] for one in manifest["partitions"]] == [manifest["notes"], []]
    first, second = estimates(bucket)
    assert first["estimated_price"] == second["estimated_price"]


def with_areas(form: str, areas: Sequence[str]) -> bytes:
    if form == "csv":
        return "\n".join(["total_sqft;location;bhk;bath", *(f"{area};Here;2;2" for area in areas)]).encode()
    rows = [{"total_sqft": area, "location": "Here", "bhk": "2", "bath": 2} for area in areas]
    return "\n".join(map(json.dumps, rows)).encode()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_decimal_commas_are_read_wherever_in_the_column_the_first_one_stands(
    bucket: MemoryBucket, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "BATCH_ROWS", 2)
    bucket.put(f"in/a.{form}", with_areas(form, ["900.5", "1,050"]))
    bucket.put(f"in/b.{form}", with_areas(form, ["900", "1000", "1.050,5", "1100,25"]))
    assert scored(bucket)["refused"] == 0
    expected = [price(area, "Here", 2) for area in (900.5, 1050, 900, 1000, 1050.5, 1100.25)]
    assert [row["estimated_price"] for row in estimates(bucket)] == pytest.approx(expected, rel=1e-5)
    notes = json.loads(bucket.get("batch/job/manifest.json").body)["notes"]
    first = {"csv": 4, "jsonl": 3}[form]
    assert [note for note in notes if "comma" in note] == [
        f"in/b.{form}: total_sqft: a decimal comma in 2 cells, read as one; "
        f"first line {first}: '1.050,5', line {first + 1}: '1100,25'"
    ]


def test_a_column_with_decimal_commas_and_points_is_refused_as_by_the_import(bucket: MemoryBucket) -> None:
    bucket.put("in/homes.csv", with_areas("csv", ["900.5", "1100,25"]))
    run = BatchRun(bucket, "job")
    run.plan("in/", "production", NOW)
    with pytest.raises(DatasetRefused) as caught:
        run.score(0)
    assert caught.value.fields == {
        "in/homes.csv": "total_sqft: a decimal comma in 1 cells (line 3: '1100,25'), but a point or a comma between "
        "thousands in others (line 2: '900.5'); expected one form in the whole column"
    }
    assert list(bucket.list("batch/job/partitions/")) == []


@pytest.mark.parametrize(
    ("name", "usual", "odd", "cell"),
    [
        ("total_sqft", "900.5;Here;2;2", "1100,25;Here;2;2", "1100,25"),
        ("bath", "900;Here;2;2.0", "900;Here;2;2,0", "2,0"),
    ],
)
def test_one_decimal_comma_among_many_points_is_a_mistake_of_its_row(
    bucket: MemoryBucket, name: str, usual: str, odd: str, cell: str
) -> None:
    bucket.put("in/homes.csv", "\n".join(["total_sqft;location;bhk;bath", *[usual] * 150, odd]).encode())
    assert (counted := scored(bucket))["estimated"] == 150 and counted["refused"] == 1
    refused = json.loads(bucket.get("batch/job/partitions/00000/refused-00000.jsonl").body)
    assert (refused["line"], list(refused["reasons"])) == (152, [name])
    assert refused["reasons"][name].endswith(f"; it is “{cell}”")


def test_a_cell_that_is_an_object_is_never_a_word(bucket: MemoryBucket) -> None:
    home = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2, "tags": ["of no use"]}
    bucket.put("in/homes.json", json.dumps([home, {**home, "location": {"name": "Whitefield"}}]).encode())
    assert (counted := scored(bucket))["estimated"] == counted["refused"] == 1
    refused = json.loads(bucket.get("batch/job/partitions/00000/refused-00000.jsonl").body)
    assert refused["reasons"] == {"location": 'must be a word or a number, not {"name": "Whitefield"}'}
    nested = parquet(pa.Table.from_pylist([{**home, "location": {"name": "Whitefield"}}]))
    bucket.put("other/homes.parquet", nested)
    run = BatchRun(bucket, "other")
    run.plan("other/", "production", NOW)
    with pytest.raises(InvalidInput) as caught:
        run.score(0)
    assert caught.value.fields == {
        "other/homes.parquet": "column location: must be words or numbers, not struct<name: string>"
    }


@pytest.mark.parametrize("name", ["homes.json", "homes.jsonl", "homes.NDJSON"])
def test_json_in_both_forms_is_estimated_as_csv_is(bucket: MemoryBucket, name: str) -> None:
    home = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
    rows = [{**home, "id": "first"}, {**home, "bath": "two", "id": "words"}, {"id": "last", **home}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    bucket.put(f"in/{name}", (json.dumps(rows) if name.endswith(".json") else lines).encode())
    counted = scored(bucket)
    assert (counted["estimated"], counted["refused"]) == (2, 1)
    assert [(row["row"], row["id"]) for row in estimates(bucket)] == [(0, "first"), (2, "last")]
    assert [row["estimated_price"] for row in estimates(bucket)] == [pytest.approx(price(1200, "Whitefield", 2))] * 2


def test_a_quoted_line_break_over_the_edge_of_a_block_moves_no_row(bucket: MemoryBucket) -> None:
    filler = "1200,Whitefield,2,2,plain," + "x" * 1_000 + "\n"
    head = "total_sqft,location,bhk,bath,id,note\n"
    plain = (BLOCK_BYTES - 5_000) // len(filler)
    note = "1,2,3,4,5,6\n" * 1_000
    body = head + filler * plain + f'1200,Whitefield,2,2,odd,"{note}"\n' + filler
    assert body.index(note) < BLOCK_BYTES < body.index(note) + len(note) - 5_000
    bucket.put("in/a.csv", body.encode())
    assert scored(bucket)["estimated"] == plain + 2
    assert [(row["row"], row["id"]) for row in estimates(bucket)[-2:]] == [(plain, "odd"), (plain + 1, "plain")]


def test_a_row_that_does_not_fit_is_refused_with_its_line_and_the_others_are_estimated(bucket: MemoryBucket) -> None:
    bucket.put(
        "in/a.csv", b"Total_Sqft;Location;BHK;Bath;id;\r\n\r\n1200;Whitefield;2;2;a;\r\n1;2\r\n1200;Here;2;2;b\r\n"
    )
    counted = scored(bucket)
    assert (counted["estimated"], counted["refused"]) == (2, 1)
    assert [(row["row"], row["id"]) for row in estimates(bucket)] == [(0, "a"), (2, "b")]
    line = json.loads(bucket.get("batch/job/partitions/00000/refused-00000.jsonl").body)
    assert (line["row"], line["line"]) == (1, 4)
    assert line["reasons"] == {"row": "has 2 cells; the header has 5"}


def test_the_content_decides_about_the_format(bucket: MemoryBucket) -> None:
    rows = [{"total_sqft": 1200, "location": "Whitefield", "bhk": bhk, "bath": 2, "id": "7"} for bhk in (2, "3", None)]
    bucket.put("in/list.csv", json.dumps(rows).encode())
    bucket.put("in/lines.csv", "\n".join(map(json.dumps, rows)).encode("utf-16"))
    bucket.put("in/table.csv", parquet(table(10), group_rows=3))
    assert (scored(bucket)["estimated"], len(estimates(bucket))) == (14, 14)


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_a_file_with_areas_in_square_metres_fails_and_commits_nothing(bucket: MemoryBucket, form: str) -> None:
    """Also areas that no home can have, in spellings that only `Home` reads, count as they are written."""
    areas = [f"{(800 + at) * 0.09290304}{' ' * (at % 2)}" for at in range(300)]
    rows = [{"total_sqft": area, "location": "Whitefield", "bhk": 2, "bath": 2} for area in areas]
    bodies = {
        "csv": "\n".join(
            ["total_sqft,location,bhk,bath", *(",".join(map(str, row.values())) for row in rows)]
        ).encode(),
        "parquet": parquet(pa.Table.from_pylist(rows)),
        "json": json.dumps(rows).encode(),
    }
    bucket.put(f"in/homes.{form}", bodies[form])
    with pytest.raises(InvalidInput, match=r"total_sqft: 100.00% of 300 rows .* Likely areas in square metres"):
        scored(bucket)
    assert [entry.key for entry in bucket.list("batch/")] == ["batch/job/plan.json"]


def test_a_refused_file_leaves_no_results_of_its_first_rows(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PART_ROWS", 100)
    monkeypatch.setattr("homeprices.batch.scoring.BATCH_ROWS", 100)
    good = [f"{800 + at},Whitefield,2,2" for at in range(400)]
    metres = [f"{60 + at / 10},Whitefield,2,2" for at in range(400)]
    bucket.put("in/homes.csv", "\n".join(["total_sqft,location,bhk,bath", *good, *metres]).encode())
    bucket.put("in/other.csv", CSV)
    run = BatchRun(bucket, "job")
    run.plan("in/", "production", NOW)
    for number in (0, 1):
        with suppress(InvalidInput):
            run.score(number)
    names = {entry.key.split("/", 3)[3] for entry in bucket.list("batch/job/partitions/")}
    assert names == {f"00001/{name}" for name in ("part-00000.parquet", "refused-00000.jsonl", "manifest.json")}
    with pytest.raises(NotReady, match="1 of 2 partitions are not done: 0"):
        run.finish(NOW)


def test_homes_that_cannot_be_are_noted(bucket: MemoryBucket) -> None:
    bucket.put("in/homes.parquet", parquet(table(1_000)))
    scored(bucket)
    *_, note = json.loads(bucket.get("batch/job/manifest.json").body)["notes"]
    assert note.startswith(
        "in/homes.parquet: bath: 16.00% of 1,000 rows (160) have under 0.3 or over 3 baths a bedroom."
    )


def test_the_manifest_counts_and_has_the_digest_of_every_file(bucket: MemoryBucket) -> None:
    bucket.put("in/a.parquet", parquet(table(1_000), group_rows=300))
    bucket.put("in/b.csv", CSV)
    scored(bucket)
    manifest = json.loads(bucket.get("batch/job/manifest.json").body)
    assert (manifest["source"], manifest["version"]) == ("in/", "BO1")
    assert (manifest["estimated"], manifest["refused"]) == (1_002, 3)
    assert manifest["partitions"][1]["refused_fields"] == {"bath": 1, "location": 1, "total_sqft": 1}
    for part in manifest["partitions"]:
        for name, held in part["files"].items():
            body = bucket.get(f"batch/job/partitions/{part['partition']:05d}/{name}").body
            assert (hashlib.sha256(body).hexdigest(), len(body)) == (held["sha256"], held["size"])
    assert [row["id"] for row in estimates(bucket)][:1_000] == [str(number) for number in range(1_000)]


def test_results_are_written_in_parts(bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "PART_ROWS", 400)
    monkeypatch.setattr(results, "PART_BYTES", 300)
    monkeypatch.setattr("homeprices.batch.scoring.BATCH_ROWS", 100)
    bucket.put("in/a.parquet", parquet(table(1_000)))
    bucket.put("in/b.csv", CSV)
    scored(bucket)
    names = [entry.key.split("/", 3)[3] for entry in bucket.list("batch/job/partitions/")]
    assert [name for name in names if "part-" in name] == [
        "00000/part-00000.parquet",
        "00000/part-00001.parquet",
        "00000/part-00002.parquet",
        "00001/part-00000.parquet",
    ]
    assert len([name for name in names if "refused-" in name]) == 2
    assert len(estimates(bucket)) == 1_002


def test_a_partition_that_is_done_is_not_touched_again(bucket: MemoryBucket) -> None:
    bucket.put("in/a.parquet", parquet(table(50)))
    run = BatchRun(bucket, "job")
    run.plan("in/", "production", NOW)
    first = run.score(0)
    before = {entry.key: entry.etag for entry in bucket.list("")}
    bucket.delete("in/a.parquet")
    assert run.score(0) == first
    assert {e.key: e.etag for e in bucket.list("")} == {k: v for k, v in before.items() if k != "in/a.parquet"}


def test_killed_anywhere_and_run_again_it_loses_and_doubles_nothing(bucket: MemoryBucket) -> None:
    bucket.put("in/a.parquet", parquet(table(400), group_rows=100))
    bucket.put("in/b.csv", CSV)
    whole: dict[str, str] = {}
    for operations in range(1, 200):
        for entry in list(bucket.list("batch/")):
            bucket.delete(entry.key)
        try:
            dying: Any = DyingBucket(bucket, operations)
            run = BatchRun(dying, "job")
            for number in run.plan("in/", "BO1", NOW):
                run.score(number)
            run.finish(NOW)
            finished = True
        except Killed:
            finished = False
        scored(bucket)
        left = {entry.key: entry.etag for entry in bucket.list("batch/")}
        assert whole in ({}, left)
        whole = left
        if finished:
            break
    assert finished and operations > 20
    assert len({row["id"] for row in estimates(bucket)}) == len(estimates(bucket)) == 402


def test_an_unfinished_job_names_its_partitions(bucket: MemoryBucket) -> None:
    bucket.put("in/a.parquet", parquet(table(50)))
    bucket.put("in/b.csv", CSV)
    run = BatchRun(bucket, "job")
    run.plan("in/", "production", NOW)
    run.score(0)
    with pytest.raises(NotReady, match="1 of 2 partitions are not done: 1"):
        run.finish(NOW)


def test_a_result_that_was_lost_is_missed_and_one_that_nobody_names_removed(bucket: MemoryBucket) -> None:
    bucket.put("in/a.parquet", parquet(table(50)))
    scored(bucket)
    bucket.put("batch/job/partitions/00000/part-00009.parquet", b"of other code")
    BatchRun(bucket, "job").finish(NOW)
    assert not bucket.exists("batch/job/partitions/00000/part-00009.parquet")
    bucket.delete("batch/job/partitions/00000/part-00000.parquet")
    with pytest.raises(NotReady):
        BatchRun(bucket, "job").finish(NOW)


def test_a_file_that_has_changed_since_the_plan_is_refused(bucket: MemoryBucket) -> None:
    bucket.put("in/a.parquet", parquet(table(50)))
    run = BatchRun(bucket, "job")
    run.plan("in/", "production", NOW)
    bucket.put("in/a.parquet", parquet(table(50, seed=8)))
    with pytest.raises(InvalidInput) as refused:
        run.score(0)
    assert refused.value.fields == {"in/a.parquet": "has changed since the job job was planned"}


def test_what_was_production_at_the_plan_scores_to_the_end(bucket: MemoryBucket, bundle_folder: Any) -> None:
    bucket.put("in/a.parquet", parquet(table(50)))
    run = BatchRun(bucket, "job")
    run.plan("in/", "production", NOW)
    bucket.copy("models/price_check_BO1/manifest.json", "models/price_check_BO2/manifest.json")
    assert run.plan("in/", "production", NOW) == [0]
    assert read_plan(bucket, "job").version == "BO1"


@pytest.mark.parametrize("bundle", ["BO9", "CO1"])
def test_a_bundle_that_is_not_published_is_refused(bucket: MemoryBucket, bundle: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        BatchRun(bucket, "job").plan("in/", bundle, NOW)
    assert refused.value.fields["bundle"] == f"{bundle!r} is not published; name one such as BO3, or production"


def test_without_production_there_is_none_to_score_with() -> None:
    with pytest.raises(InvalidInput):
        BatchRun(MemoryBucket(), "job").plan("in/", "production", NOW)


@pytest.mark.parametrize(
    ("name", "body", "problem"),
    [
        (
            "in/a.csv",
            b"location,bhk,bath\nWhitefield,2,2\n",
            "line 1: has no column total_sqft; found location, bhk, bath",
        ),
        ("in/a.csv", b"total_sqft,location,bhk,bath\n1200,<<<\n=======\n", "line 3: is a merge marker, '======='"),
        ("in/a.csv", b"total_sqft,location,bhk,bath, BATH\n", "line 1, column bath: is given more than once"),
        ("in/a.parquet", parquet(table(5).drop_columns(["bath"])), "has no column bath"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(bucket: MemoryBucket, name: str, body: bytes, problem: str) -> None:
    bucket.put(name, body)
    run = BatchRun(bucket, "job")
    run.plan("in/", "production", NOW)
    with pytest.raises(InvalidInput) as refused:
        run.score(0)
    assert problem in refused.value.fields[name]


def test_a_partition_that_the_plan_does_not_have_and_another_bundle_are_refused(
    bucket: MemoryBucket, predictor: Predictor
) -> None:
    bucket.put("in/a.csv", CSV)
    run = BatchRun(bucket, "job")
    run.plan("in/", "production", NOW)
    plan = read_plan(bucket, "job")
    with pytest.raises(InvalidInput, match="1 is not one of 0 to 0"):
        scoring.score_partition(bucket, predictor, plan, 1)
    with pytest.raises(Conflict, match="the job job scores with BO2, not BO1"):
        scoring.score_partition(bucket, predictor, plan.model_copy(update={"version": "BO2"}), 0)


def test_a_model_that_answers_nonsense_fails_the_partition(
    bucket: MemoryBucket, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    class Broken:
        def run(self, *_: Any) -> list[Any]:
            return [np.array([[1.0], [np.nan]])]

    monkeypatch.setattr(predictor, "_session", Broken())
    with pytest.raises(BundleRefused, match="BO1: the model answers nan lakh rupees"):
        predictor.price_columns({name: np.ones(2) for name in ("total_sqft", "location", "bhk", "bath")})
