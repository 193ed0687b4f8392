"""The services' logs, on one screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

LINES = 40
"""Of each log, to begin with."""

KEPT_BYTES = 20 * 2**20
"""A log that is larger when the stack starts is put aside, in place of the one put aside before."""


def show_end(files: Iterable[Path]) -> dict[Path, int]:
    """Print the last lines of each file; gives up to where each was read."""
    positions = {}
    several = len(names := list(files)) > 1
    for file in names:
        content = file.read_bytes()
        positions[file] = len(content)
        for line in content.decode(errors="replace").splitlines()[-LINES:]:
            print(_line(file, line, several))
    return positions


def show_new(positions: Mapping[Path, int]) -> dict[Path, int]:
    """Print the whole lines that were added since; gives up to where each was read."""
    moved = dict(positions)
    for file, position in positions.items():
        with file.open("rb") as log:
            if log.seek(0, 2) < position:  # put aside meanwhile
                position = 0
            log.seek(position)
            added = log.read()
        whole = added[: added.rfind(b"\n") + 1]
        moved[file] = position + len(whole)
        for line in whole.decode(errors="replace").splitlines():
            print(_line(file, line, len(positions) > 1), flush=True)
    return moved


def put_aside(folder: Path) -> None:
    """Rename the logs that have become large."""
    for file in folder.glob("*.log"):
        if file.stat().st_size > KEPT_BYTES:
            file.replace(file.with_suffix(".log.1"))


def _line(file: Path, line: str, named: bool) -> str:
    return f"{file.stem:>22} | {line}" if named else line
