"""Generated sections of Markdown documents, between two comments that no reader sees."""

from __future__ import annotations

from pathlib import Path

from homeprices.errors import InvalidInput


def section_marks(name: str) -> tuple[str, str]:
    """Return the lines before and after a generated section."""
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def replace_section(path: Path, name: str, text: str) -> None:
    """Replace the text between the marks of section `name` in a document.

    Raise InvalidInput if the document does not have the two marks.
    """
    first, last = section_marks(name)
    document = path.read_text(encoding="utf-8")
    before, opened, rest = document.partition(f"{first}\n")
    _, closed, after = rest.partition(f"\n{last}")
    if not opened or not closed:
        raise InvalidInput({str(path): f"does not hold the marks {first} and {last}"})
    path.write_text(f"{before}{first}\n{text}\n{last}{after}", encoding="utf-8")
