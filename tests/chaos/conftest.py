"""Instances with their own database and bucket per module, and the requested counts."""

from __future__ import annotations

import pytest

from tests.chaos.counts import Counts, chosen
from tests.integration.inference.conftest import engine, make, variables

__all__ = ["counts", "engine", "make", "variables"]


@pytest.fixture(scope="session")
def counts() -> Counts:
    """The number of rounds, durations and sizes."""
    return chosen()
