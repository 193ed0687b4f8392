"""Write the measurements of the last `make test-compose` into documentations/compose.md: `make compose-figures`.

The tests write `build/compose-figures.json`. The text between the two marks of the page is generated from it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from homeprices.reporting.markdown import replace_section

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "build" / "compose-figures.json"
PAGE = ROOT / "documentations" / "compose.md"
SECTION = "make compose-figures"
PREFIX = "homeprices-test-"  # of the containers of the tests
MEGABYTE, MEBIBYTE = 10**6, 2**20
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

TIMES = {
    "build_seconds": "every image built, {built}",
    "up_to_all_healthy_seconds": "`up` until every container is healthy",
    "up_to_first_model_seconds": "`up` until BO1 answers",
    "up_to_experiment_seconds": "`up` until CO1 serves visitors",
    "database_down_to_message_seconds": "PostgreSQL stopped until Slack and mail have the alert",
    "backup_seconds": "`make backup`",
    "restore_to_all_healthy_seconds": "`make restore` into an empty stack, until every container is healthy",
}


def rendered(figures: Mapping[str, Any]) -> str:
    """Return the generated part of the page, in Markdown."""
    parts = (_chapters, _times, _connections, _images, _memory)
    return "\n\n".join("\n".join(part(figures)) for part in parts)


def _chapters(figures: Mapping[str, Any]) -> Iterator[str]:
    chapters = figures["chapters"]
    passed, seconds = sum(c["passed"] for c in chapters.values()), sum(c["seconds"] for c in chapters.values())
    yield f"`make test-compose`, {figures['machine']}: {passed} tests passed in {seconds / 60:.0f} minutes.\n"
    yield "| chapter | tests | seconds |\n|---|---|---|"
    yield from (f"| `{name}.py` | {one['passed']} | {one['seconds']:.0f} |" for name, one in chapters.items())


def _times(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "| from | seconds |\n|---|---|"
    for name, what in TIMES.items():
        yield f"| {what.format(built=figures['built'])} | {figures[name]:.0f} |"


def _connections(figures: Mapping[str, Any]) -> Iterator[str]:
    seen = figures["connections_of_four_services"]
    yield (
        "Connections to PostgreSQL of three replicas and the candidate under visitors, at most: "
        f"{seen['directly']} directly, {seen['through_pgbouncer']} through PgBouncer, which was given three."
    )


def _images(figures: Mapping[str, Any]) -> Iterator[str]:
    base = figures["base_bytes"]
    yield "| image | MB | over its base |\n|---|---|---|"
    for name, size in figures["image_bytes"].items():
        over = f"{(size - base[name]) / MEGABYTE:.0f}"
        yield f"| {name.split(':')[0]} | {size / MEGABYTE:.0f} | {over} |"


def _memory(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "| container | MiB |\n|---|---|"
    used = {name.removeprefix(PREFIX): mebibytes(usage.split(" / ")[0]) for name, usage in figures["memory"].items()}
    for name, size in sorted(used.items(), key=lambda one: -one[1]):
        yield f"| {name} | {size:.0f} |"
    yield f"| sum | {sum(used.values()):.0f} |"


def mebibytes(size: str) -> float:
    """Return a size in the format of `docker stats`, such as 1.06GiB, in MiB."""
    unit = next(unit for unit in sorted(UNITS, key=len, reverse=True) if size.endswith(unit))
    return float(size.removesuffix(unit)) * UNITS[unit] / MEBIBYTE


def main() -> int:
    """Run the command line."""
    if not FIGURES.exists():
        print(f"figures: there is no {FIGURES.relative_to(ROOT)}; run make test-compose", file=sys.stderr)
        return 1
    replace_section(PAGE, SECTION, rendered(json.loads(FIGURES.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
