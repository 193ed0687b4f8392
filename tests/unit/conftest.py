"""A bucket in memory, a clock that is set by hand, and drafts whose models differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from tests.support.bundles import make_draft
from tests.support.factories import Clock


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def drafts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("drafts")
    return [make_draft(root / str(factor), factor) for factor in (1.0, 1.1, 1.2)]
