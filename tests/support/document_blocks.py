"""The command blocks of the documents, and whether a test runs them.

A block of `bash` or `python` runs as it is written on a running stack. One that cannot has a comment before it, which
the rendered page does not show: `<!-- not run: REASON -->`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = "documentations/reliability.md"  # its commands are those of tests, which `make test-full` runs
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "documentations").rglob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("iac", "kubernetes")),
]
COMMANDS = {"bash", "python"}
SIMULATES = ".venv/bin/homeprices experiment simulate "
OTHERS = {"text", "json", "yaml", "diff", "mermaid"}
_BLOCK = re.compile(r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block of a document; `not_run` is the reason why no test runs it."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def needs_stack(self) -> bool:
        """Whether a command needs a running stack; simulations do not."""
        return not all(line.startswith(SIMULATES) for line in self.text.splitlines())


def blocks() -> list[Block]:
    """Return every fenced block of the documents, in the order of the pages."""
    return [
        Block(
            page.relative_to(ROOT).as_posix(),
            text.count("\n", 0, found.start("text")),
            *found.group("language", "text", "reason"),
        )
        for page in PAGES
        for text in [page.read_text()]
        for found in _BLOCK.finditer(text)
    ]


def runnable() -> list[Block]:
    """Return the blocks that a test runs."""
    return [block for block in blocks() if block.language in COMMANDS and not block.not_run and block.page != GENERATED]


def on_a_stack() -> list[Block]:
    """Return the runnable blocks that need a running stack."""
    return [block for block in runnable() if block.needs_stack]


def without_a_stack() -> list[Block]:
    """Return the other runnable blocks."""
    return [block for block in runnable() if not block.needs_stack]
