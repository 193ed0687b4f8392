"""The table of faults in the documentation has the reader's own sentences."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from homeprices.errors import DatasetRefused
from homeprices.tables.reader import read_whole

DOCUMENT = Path(__file__).parents[3] / "documentations/scaling.md"
HEAD = b"total_sqft,location,bhk,bath\n"
FAULTS = {
    "not text": HEAD + b"\xff\n",
    "zero byte": HEAD + b"\0\n",
    "merge marker": HEAD + b"<<<<<<< HEAD\n",
    "comment": HEAD + b"# note\n",
    "open quotation mark": HEAD + b'"1,2\n',
    "column twice": b"bath,Bath\n",
    "two separators": b"total_sqft,bath;bhk\n",
    "archive": b"\x1f\x8b\x08",
    "ragged row": HEAD + b"1,2\n",
    "JSON key twice": b'{"bath":1,"bath":2}',
}
ROWS = dict(
    [cell.strip() for cell in line.split("|")[1:3]]
    for line in DOCUMENT.read_text().splitlines()
    if line.count("|") == 6
)


@pytest.mark.parametrize("kind", FAULTS)
def test_the_sentence_of_a_fault_is_documented(kind: str) -> None:
    with pytest.raises(DatasetRefused) as caught:
        read_whole(io.BytesIO(FAULTS[kind]), "file", ("total_sqft", "location", "bhk", "bath"))
    assert ROWS[kind].strip("`") in caught.value.fields["file"]
