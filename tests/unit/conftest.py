"""A bucket in memory, a clock that is set by hand, and drafts whose models differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from tests.support.bundles import make_draft
from tests.support.factories import Clock


@pytest.fixture
def bucket() -> MemoryBucket:
    """A bucket in memory."""
    return MemoryBucket()


@pytest.fixture
def clock() -> Clock:
    """A clock that a test sets."""
    return Clock()


@pytest.fixture(scope="session")
def drafts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three draft bundles with different prices."""
    root = tmp_path_factory.mktemp("drafts")
    return [make_draft(root / str(factor), factor) for factor in (1.0, 1.1, 1.2)]
