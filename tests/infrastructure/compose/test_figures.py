"""The measured figures as text of the page."""

from __future__ import annotations

import pytest

from compose import figures
from homeprices.reporting.markdown import section_marks

MEASURED = {
    "machine": "2 cores, 24 GiB",
    "chapters": {"test_start": {"passed": 9, "seconds": 110.4}, "test_kept": {"passed": 2, "seconds": 69.6}},
    "built": "from nothing but its base",
    "connections_of_four_services": {"directly": 9, "through_pgbouncer": 3},
    "image_bytes": {"homeprices-router:local": 317_000_000},
    "base_bytes": {"homeprices-router:local": 224_000_000},
    "memory": {"homeprices-test-router-1": "55MiB / 512MiB", "homeprices-test-mlflow-1": "1.5GiB / 2GiB"},
    **dict.fromkeys(figures.TIMES, 90.2),
}


def test_the_page_has_the_measurements() -> None:
    text = figures.rendered(MEASURED)
    assert "`make test-compose`, 2 cores, 24 GiB: 11 tests passed in 3 minutes." in text
    assert "| `test_start.py` | 9 | 110 |" in text
    assert "| every image built, from nothing but its base | 90 |" in text
    assert "| homeprices-router | 317 | 93 |" in text
    assert "at most: 9 directly, 3 through PgBouncer" in text
    memory = text[text.index("| container |") :].splitlines()[2:]
    assert memory == ["| mlflow-1 | 1536 |", "| router-1 | 55 |", "| sum | 1591 |"]


@pytest.mark.parametrize(("text", "size"), [("512KiB", 0.5), ("55.5MiB", 55.5), ("1.25GiB", 1280.0), ("1048576B", 1.0)])
def test_sizes_of_docker_are_parsed(text: str, size: float) -> None:
    assert figures.mebibytes(text) == size


def test_the_page_has_the_marks_of_the_measurements() -> None:
    page = figures.PAGE.read_text()
    first, last = section_marks(figures.SECTION)
    assert page.count(first) == page.count(last) == 1
    assert page.index(first) < page.index(last)
