"""A bucket in memory with a production bundle in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.predictor import Predictor
from tests.support.bundles import make_bundle


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published bundle."""
    return make_bundle(tmp_path_factory.mktemp("bundle"), "BO1")


@pytest.fixture(scope="session")
def predictor(bundle_folder: Path) -> Predictor:
    """The predictor of a small bundle."""
    return Predictor(Bundle.open(bundle_folder))


@pytest.fixture
def bucket(bundle_folder: Path) -> MemoryBucket:
    """A bucket in memory."""
    bucket = MemoryBucket()
    for path in sorted(bundle_folder.rglob("*")):
        if path.is_file():
            bucket.put(f"models/price_check_BO1/{path.relative_to(bundle_folder).as_posix()}", path.read_bytes())
    return bucket
