"""The same homes in every format and spelling are the same homes at every entry point, and a fault has one sentence."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException

from homeprices.adapters.object_store import MemoryBucket
from homeprices.data.schema import COLUMNS, read_listings
from homeprices.drift.file_samples import read_sample
from homeprices.errors import HomePricesError, InvalidInput
from homeprices.pricing.home import Home
from homeprices.tables.reader import open_table
from homeprices.workflows.score_batch import BatchRun
from inference.backend.api.batch_formats import form_of
from tests.support.bundles import make_bundle
from tests.support.factories import NOW

Row = dict[str, Any]
MEDIA_TYPES = {"csv": "text/csv", "json": "application/json", "ndjson": "application/x-ndjson"}
NAMES = ("total_sqft", "location", "bhk", "bath")

PLACES = st.sampled_from(
    [
        "Whitefield",
        " whitefield ",
        "Indira\nNagar",
        'The "Old" Town',
        "a, b; c\td|e",
        "Kōramaṅgala",
        "Sector\u2028 2",
        "'s",
    ]
)
HOMES = st.lists(
    st.tuples(st.integers(300, 99_999), PLACES, st.integers(1, 20), st.integers(1, 20)).map(
        lambda cells: dict(zip(NAMES, cells, strict=True))
    ),
    min_size=1,
    max_size=6,
)
SPELLINGS = st.fixed_dictionaries(
    {
        "format": st.sampled_from(["csv", "json", "ndjson", "parquet"]),
        "end": st.sampled_from(["\n", "\r\n", "\r"]),
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
        "header": st.sampled_from([str, str.upper, lambda name: f" {name.title()} "]),
        "empty_columns": st.integers(0, 2),
        "blank_lines": st.booleans(),
    }
)
BLOCKS = st.fixed_dictionaries({"block_bytes": st.integers(4, 60), "block_rows": st.integers(1, 4)})
"""Of the reader, where an entry point does not choose."""


PLAIN: Row = {
    "format": "csv", "end": "\n", "delimiter": ",", "quoting": csv.QUOTE_MINIMAL, "encoding": "utf-8", "header": str,
    "empty_columns": 0, "blank_lines": False,
}  # fmt: skip


def written(rows: list[Row], **how: Any) -> bytes:
    """The rows in one format and spelling."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if how["format"] == "parquet":
        target = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), target)
        return target.getvalue()
    if how["format"] == "csv":
        text = io.StringIO(newline="")
        # Python's writer leaves a line feed unquoted where lines end with a carriage return.
        quoting: Any = csv.QUOTE_ALL if how["end"] == "\r" else how["quoting"]
        writer = csv.writer(text, delimiter=how["delimiter"], lineterminator=how["end"], quoting=quoting)
        writer.writerow([*map(how["header"], names), *[""] * how["empty_columns"]])
        for row in rows:
            if how["blank_lines"]:
                text.write(how["end"])
            writer.writerow([*(row[name] for name in names), *[""] * how["empty_columns"]])
        return text.getvalue().encode(how["encoding"])
    named = [{how["header"](name): value for name, value in row.items()} for row in rows]
    if how["format"] == "json":
        return json.dumps(named, ensure_ascii=False).encode(how["encoding"])
    return "".join(json.dumps(row) + how["end"] for row in named).encode(how["encoding"])


def by_import(body: bytes, _format: str) -> Any:
    return read_listings(body).to_numpy().tolist()


def by_drift(body: bytes, _format: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "homes"
        path.write_bytes(body)
        features = read_sample(path).counted.sample.features
    return {
        "total_sqft": features["total_sqft"].values.tolist(),  # type: ignore[union-attr]
        "location": dict(features["location"].counts),
        "rows": features["bath"].present,
    }


def by_endpoint(body: bytes, format: str) -> Any:
    rows = list(form_of(MEDIA_TYPES[format]).read(body))
    if wrong := [row for row in rows if isinstance(row, InvalidInput)]:
        raise wrong[0]
    return [Home.parse(row) for row in rows if isinstance(row, dict)]


Entries = dict[str, Callable[[bytes, str], Any]]


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Entries:
    """Every entry point of a table of homes: what it reads of a file's content and format."""
    folder = make_bundle(tmp_path_factory.mktemp("bundle"), "BO1")
    bundle = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def by_batch(body: bytes, format: str) -> Any:
        bucket = MemoryBucket()
        for name, content in bundle.items():
            bucket.put(f"models/price_check_BO1/{name}", content)
        bucket.put(f"in/homes.{format}", body)
        run = BatchRun(bucket, "job")
        for number in run.plan("in/", "production", NOW):
            run.score(number)
        keys = [entry.key for entry in bucket.list("batch/job/partitions/")]
        if refused := [key for key in keys if "/refused-" in key]:
            raise InvalidInput(json.loads(bucket.get(refused[0]).body.splitlines()[0])["reasons"])
        parts = [pq.read_table(io.BytesIO(bucket.get(key).body)) for key in keys if key.endswith(".parquet")]
        return [(row["row"], row["location"], row["estimated_price"]) for part in parts for row in part.to_pylist()]

    return {"import": by_import, "drift": by_drift, "endpoint": by_endpoint, "batch": by_batch}


@settings(max_examples=40)
@given(homes=HOMES, how=SPELLINGS, small=BLOCKS)
def test_homes_are_the_same_in_every_format_spelling_and_block_size(
    entries: Entries, homes: list[Row], how: Row, small: Row
) -> None:
    listings = [
        {"area_type": "", "availability": "Ready To Move", "society": "", "balcony": 1, "price": 90, **home}
        | {"size": f"{home['bhk']} BHK"}
        for home in homes
    ]
    assert {*COLUMNS} <= {*listings[0]}
    for name, read in entries.items():
        rows = listings if name == "import" else homes
        if not (name == "endpoint" and how["format"] == "parquet"):  # not a media type of the API
            plain = read(written(rows, **PLAIN), "csv")
            with mock.patch.dict(open_table.__kwdefaults__, small):
                assert read(written(rows, **how), how["format"]) == plain, name


# HEAD and ROW are those of listings at the import, and of the API's fields elsewhere.
OF_LISTINGS = (",".join(COLUMNS).encode(), b",Ready To Move,Here,2 BHK,,1200,2,1,50")
OF_HOMES = (b"total_sqft,location,bhk,bath", b"1200,Here,2,2")
FAULTS = [
    ("csv", b"HEAD,Bath\nROW,2\n", "is given more than once"),
    ("csv", b"HEAD\n<<<<<<< HEAD\nROW\n", "is a merge marker, '<<<<<<< "),
    ("csv", b"HEAD\nROW\n\0ROW\n", "line 3: holds a zero byte"),
    ("csv", b"HEAD\nROW\n\xffROW\n", "line 3: is not UTF-8"),
    ("csv", b"# of the portal\nHEAD\n", "line 1: is a comment, '# of the portal'"),
    ("csv", b"HEAD\nROW\nROW,9\n", " cells; the header has "),
    ("ndjson", b'{"bath":1,"bath":2}\n', "is given more than once"),
    ("json", b'[{"bath":1}, {"bath":', "is not JSON"),
]


@pytest.mark.parametrize(("format", "body", "problem"), FAULTS, ids=[problem for *_, problem in FAULTS])
def test_a_fault_has_the_same_sentence_at_every_entry_point(
    entries: Entries, format: str, body: bytes, problem: str
) -> None:
    for name, read in entries.items():
        with pytest.raises((HomePricesError, HTTPException)) as caught:
            head, row = OF_LISTINGS if name == "import" else OF_HOMES
            read(body.replace(b"HEAD", head, 1).replace(b"ROW", row), format)
        said = caught.value.description if isinstance(caught.value, HTTPException) else str(caught.value)
        assert problem in str(said), name
