"""The commands of the documents that need no stack; `tests/e2e/test_loop.py` runs the others on one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import document_blocks, reader
from tests.support.document_blocks import Block


def test_there_are_some() -> None:
    assert document_blocks.without_a_stack()


@pytest.mark.parametrize("block", document_blocks.without_a_stack(), ids=str)
def test_the_commands_work_as_written(block: Block, tmp_path: Path) -> None:
    reader.lay_out(tmp_path)
    done = reader.run(block, block.text, tmp_path, os.environ)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
