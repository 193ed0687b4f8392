"""Which tests CI may run a second time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import is_against_real_servers

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("test", "may"),
    [
        ("integration/router/test_doors.py", True),
        ("e2e/test_loop.py", True),
        ("compose/test_start.py", True),
        ("chaos/test_rows.py", True),
        ("unit/test_errors.py", False),
        ("infrastructure/compose/test_figures.py", False),
    ],
)
def test_only_suites_against_real_servers_have_a_second_chance(test: str, may: bool) -> None:
    assert is_against_real_servers(TESTS / test) is may
