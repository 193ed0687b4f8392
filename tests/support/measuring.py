"""Measurement of coverage, switched off for tests that need none."""

from __future__ import annotations

import os

import coverage

UNMEASURED = (
    "infrastructure/", "integration/frontend/", "integration/iac/", "integration/load/", "integration/local/",
    "integration/monitoring/", "integration/test_airflow_server.py", "integration/test_carried_over.py",
    "integration/test_document_commands.py", "integration/test_original_commands.py", "unit/test_", "unit/tests/",
)  # fmt: skip
"""Tests of programs without a demand on coverage, or of code that other tests run too: measuring doubles their time."""

_stopped: coverage.Coverage | None = None


def switch(*, on: bool) -> None:
    """Measure this process, and the children that it starts, or do not; without effect where nothing is measured."""
    global _stopped
    if on and _stopped:
        _stopped.start()  # which sets the variables of child processes again
        _stopped = None
    elif not on and (current := coverage.Coverage.current()):
        for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
            del os.environ[name]
        current.stop()
        _stopped = current
