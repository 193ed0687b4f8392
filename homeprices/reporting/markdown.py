"""Generated sections of Markdown documents, between two comments that no reader sees."""

from __future__ import annotations

import os
from pathlib import Path

from homeprices.errors import InvalidInput


def section_marks(name: str) -> tuple[str, str]:
    """Return the lines before and after a generated section."""
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def check_section(path: Path, name: str) -> None:
    """Check, before a long computation, that its result can be written into section `name` of a document.

    Raises InvalidInput if the document does not have the two marks or cannot be written, OSError if it cannot be read.
    """
    _around(path, name)
    if not os.access(path, os.W_OK):
        raise InvalidInput({str(path): "cannot be written"})


def replace_section(path: Path, name: str, text: str) -> None:
    """Replace the text between the marks of section `name` in a document.

    Raises InvalidInput if the document does not have the two marks, OSError if it cannot be read or written.
    """
    before, after = _around(path, name)
    path.write_text(f"{before}{text}{after}", encoding="utf-8")


def _around(path: Path, name: str) -> tuple[str, str]:
    """Return the text up to the first mark with its line end, and the text from the last mark on."""
    first, last = section_marks(name)
    before, opened, rest = path.read_text(encoding="utf-8").partition(f"{first}\n")
    _, closed, after = rest.partition(f"\n{last}")
    if not opened or not closed:
        raise InvalidInput({str(path): f"does not hold the marks {first} and {last}"})
    return before + opened, closed + after
