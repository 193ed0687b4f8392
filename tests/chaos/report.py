"""The report of the chaos tests: writes the results into `documentations/reliability.md`."""

from __future__ import annotations

from pathlib import Path

from homeprices.reporting.markdown import replace_section
from tests.chaos.measurements import ROOT, Result, read

PAGE = ROOT / "documentations" / "reliability.md"
SECTION = "results of make test-chaos"


def section(results: list[Result]) -> str:
    """Return the generated section of the page."""
    return "\n".join(["", "\n\n".join([table(results), *map(_figures, results)]), ""])


def table(results: list[Result]) -> str:
    """Return a table with a row per result: claim, count, failures, and the upper bound of the failure rate."""
    rows = ["| result | count | failed | 95 % upper bound of the failure rate |", "|---|---|---|---|"]
    rows += [f"| {r.claim} | {r.count:,} {r.unit} | {r.failed} | {_bound(r)} |" for r in results]
    return "\n".join(rows)


def _figures(result: Result) -> str:
    """Return the other figures of a result, and the command that repeats the measurement."""
    conditions = f"{result.machine}, load {result.load}"
    lines = [
        f"### {result.name}",
        "",
        *(f"- {name}: {_number(value)}" for name, value in result.figures.items()),
        f"- measured {result.measured_at:%Y-%m-%d %H:%M} UTC at {result.revision}; {conditions}",
        "",
        "```bash",
        result.command,
        "```",
    ]
    return "\n".join(lines)


def _bound(result: Result) -> str:
    if result.unit == "rows":  # a size, not a number of trials
        return ""
    return f"{100 * result.upper_bound:.2g} %" if result.failed == 0 else "see the figures"


def _number(value: float | int | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def main(path: Path = PAGE) -> None:
    """Write the page."""
    replace_section(path, SECTION, section(read()))


if __name__ == "__main__":
    main()
