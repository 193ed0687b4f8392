"""Replaces generated sections of Markdown documents."""

from __future__ import annotations

from pathlib import Path

from homeprices.errors import InvalidInput


def replace_section(path: Path, name: str, text: str) -> None:
    """Replace what stands in a page between `<!-- name -->` and `<!-- end of name -->`.

    Raises InvalidInput when the page does not hold them.
    """
    first, last = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    page = path.read_text()
    before, found, rest = page.partition(first)
    _, closed, after = rest.partition(last)
    if not found or not closed:
        raise InvalidInput({str(path): f"does not hold the marks {first.strip()} and {last.strip()}"})
    path.write_text(before + first + text + last + after)
