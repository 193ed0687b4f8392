"""How long test files and fixtures take and how much of it is processor time; the table in the documentation.

DURATIONS=folder pytest ...             each process of the run writes its measurements into the folder
python -m tests.support.durations folder    renews the tables, and tests/durations.json, which orders a parallel run
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "documentations" / "automated-testing.md"
ORDER = ROOT / "tests" / "durations.json"
MARKS = re.compile(r"(<!-- durations -->\n).*?(<!-- end of durations -->)", re.DOTALL)
LONGEST = 25


@dataclass
class Spent:
    """Seconds of the clock and of processors (this process and its children), over `count` tests or set-ups."""

    wall: float = 0.0
    processor: float = 0.0
    count: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall + other.wall, self.processor + other.processor, self.count + other.count)


class Recorder:
    """A pytest plugin that measures every test and every fixture's set-up, and writes them when the process ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: defaultdict[str, Spent] = defaultdict(Spent)
        self.fixtures: defaultdict[str, Spent] = defaultdict(Spent)
        self._process = psutil.Process()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Measure a test with the set-up before it and the teardown after it."""
        begin = self._now()
        result = yield
        self.files[item.nodeid.split("::")[0]] += self._since(begin)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Measure a fixture's set-up without that of the fixtures it asks for."""
        begin = self._now()
        result = yield
        if fixturedef.baseid:  # pytest's own have none
            self.fixtures[f"{fixturedef.argname} ({fixturedef.baseid})"] += self._since(begin)
        return result

    def pytest_sessionfinish(self) -> None:
        """Write what was measured."""
        self.folder.mkdir(parents=True, exist_ok=True)
        measured = {"files": self.files, "fixtures": self.fixtures}
        plain = {kind: {name: asdict(spent) for name, spent in table.items()} for kind, table in measured.items()}
        (self.folder / f"{os.getpid()}.json").write_text(json.dumps(plain))

    def _now(self) -> tuple[float, float]:
        return time.monotonic(), self._processor_seconds()

    def _since(self, begin: tuple[float, float]) -> Spent:
        wall, processor = self._now()
        return Spent(wall - begin[0], max(processor - begin[1], 0.0), 1)

    def _processor_seconds(self) -> float:
        """Of this process, its ended children, and its running ones."""
        times = self._process.cpu_times()
        seconds = times.user + times.system + times.children_user + times.children_system
        for child in self._process.children():
            try:
                child_times = child.cpu_times()
            except psutil.Error:  # ended since
                continue
            seconds += child_times.user + child_times.system + child_times.children_user + child_times.children_system
        return seconds


def longest_first(items: list[pytest.Item]) -> None:
    """Order files by their recorded duration, so that a parallel run does not end with one long file."""
    recorded: dict[str, float] = json.loads(ORDER.read_text()) if ORDER.exists() else {}
    items.sort(key=lambda item: -recorded.get(item.nodeid.split("::")[0], 0.0))


def merged(folder: Path, kind: str) -> dict[str, Spent]:
    """Return what all processes of a run measured."""
    total: defaultdict[str, Spent] = defaultdict(Spent)
    for path in sorted(folder.glob("*.json")):
        for name, spent in json.loads(path.read_text())[kind].items():
            total[name] += Spent(**spent)
    return dict(total)


def table(title: str, counted: str, rows: Iterable[tuple[str, Spent]]) -> str:
    """Return the longest of the rows as a Markdown table. Waits are wall time without processor time."""
    lines = [f"| {title} | {counted} | wall s | processor s | waits s |", "|---|---|---|---|---|"]
    for name, spent in sorted(rows, key=lambda row: -row[1].wall)[:LONGEST]:
        waits = max(spent.wall - spent.processor, 0.0)
        lines.append(f"| `{name}` | {spent.count} | {spent.wall:.1f} | {spent.processor:.1f} | {waits:.1f} |")
    return "\n".join(lines)


def renew(folder: Path, document: Path = DOCUMENT, order: Path = ORDER) -> None:
    """Write the tables and the order of files from the measurements in a folder."""
    files, fixtures = merged(folder, "files"), merged(folder, "fixtures")
    if not files:
        raise SystemExit(f"{folder} holds no measurements: run the tests with DURATIONS={folder}")
    every = sum(files.values(), Spent())
    summary = (
        f"All {every.count:,} tests: {every.wall / 60:.1f} minutes one after the other,"
        f" {every.processor / 60:.1f} minutes of processor time, on {os.cpu_count()} cores.\n"
    )
    pages = (summary, table("test file", "tests", files.items()), "", table("fixture", "set-ups", fixtures.items()))
    text = document.read_text()
    if not MARKS.search(text):
        raise SystemExit(f"{document} lacks the marks of the durations table")
    document.write_text(MARKS.sub(lambda marks: marks[1] + "\n".join(pages) + "\n" + marks[2], text))
    slow = {name: round(spent.wall, 1) for name, spent in sorted(files.items()) if spent.wall >= 1}
    order.write_text(json.dumps(slow, indent=1) + "\n")


if __name__ == "__main__":
    renew(Path(sys.argv[1]))
