"""`documentations/reliability.md` equals the committed results."""

from datetime import UTC, datetime
from pathlib import Path

from homeprices.reporting.markdown import replace_section
from tests.chaos.measurements import Result, read
from tests.chaos.report import PAGE, SECTION, main, table


def result(count: int, failed: int) -> Result:
    return Result(
        name="n", claim="It holds", count=count, unit="kills", failed=failed, figures={}, command="pytest",
        measured_at=datetime(2026, 1, 1, tzinfo=UTC), revision="r", machine="m", load=0.0,
    )  # fmt: skip


def test_the_page_is_made_of_the_committed_results(tmp_path: Path) -> None:
    results = read()
    assert {"killed-workers", "killed-gunicorn", "promotions-and-reloads", "soak", "rows"} <= {r.name for r in results}
    page = tmp_path / "reliability.md"
    page.write_text(PAGE.read_text())
    replace_section(page, SECTION, "old")
    main(page)
    assert page.read_text() == PAGE.read_text()


def test_the_bound_is_three_by_the_number_of_trials_when_none_failed_and_is_not_claimed_else() -> None:
    assert "| 10,000 kills | 0 | 0.03 % |" in table([result(10_000, 0)])
    assert "see the figures" in table([result(100, 1)])
