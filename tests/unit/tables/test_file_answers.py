"""The document says what every entry point answers to every kind of file, and it is what they answer today."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from homeprices.reporting.markdown import section_marks
from tests.contract import file_answers
from tests.contract.file_kinds import KINDS

PAGE = file_answers.PAGE.read_text(encoding="utf-8")


def documented(title: str) -> str:
    first, last = section_marks(title)
    return PAGE.partition(f"{first}\n")[2].partition(f"\n{last}")[0]


@pytest.mark.parametrize("group", file_answers.TITLES)
def test_every_entry_point_answers_what_the_document_says(group: str) -> None:
    assert file_answers.table(group) == documented(file_answers.TITLES[group])


def test_a_batch_job_leaves_alone_what_the_document_says() -> None:
    assert file_answers.table_of_names() == documented("names beside the data")


def test_no_table_is_read_as_something_else() -> None:
    assert len(KINDS) > 90
    assert {kind.group for kind in KINDS} == {*file_answers.TITLES}
    assert file_answers.OTHERWISE not in PAGE


def test_a_table_that_is_read_as_another_one_is_found(tmp_path: Path) -> None:
    """The comparison itself: a missing value that is taken for a name is seen at every entry point."""
    [kind] = [kind for kind in KINDS if kind.name == "society `NA`"]
    assert list(file_answers.answers(kind, tmp_path)) == ["read as no society"]
    found = file_answers.answers(replace(kind, means={"society": "NA Colony"}), tmp_path)
    assert {"import", "`drift --current`", "batch endpoint"} <= {*found[file_answers.OTHERWISE]}
