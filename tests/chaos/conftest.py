"""Instances on a database and a bucket of their module's own, and the counts that were asked for."""

from __future__ import annotations

import pytest

from tests.chaos.counts import Counts, chosen
from tests.integration.inference.conftest import engine, make, variables

__all__ = ["counts", "engine", "make", "variables"]


@pytest.fixture(scope="session")
def counts() -> Counts:
    """How often, how long, how much."""
    return chosen()
