"""Instances with their own database and bucket per module, and the requested counts."""

from __future__ import annotations

import pytest

from tests.chaos import measurements
from tests.chaos.counts import Counts, chosen
from tests.integration.inference.conftest import engine, make, variables

__all__ = ["counts", "engine", "make", "variables"]


@pytest.fixture(scope="session")
def counts() -> Counts:
    """The number of rounds, durations and sizes."""
    return chosen()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured, which a test does not judge."""
    for result in measurements.measured:
        terminalreporter.write_line(f"{result.name}: {result.failed} of {result.count:,} {result.unit} failed")
        for name, value in result.figures.items():
            terminalreporter.write_line(f"  {name}: {value}")
