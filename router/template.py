"""Templates of configuration files, and files that a reader never meets half written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from homeprices.errors import InvalidInput

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with every {{name}} replaced. Raises InvalidInput when names and values do not fit each other."""
    asked = set(_PLACEHOLDER.findall(template))
    if asked != set(values):
        different = ", ".join(sorted(asked ^ set(values)))
        raise InvalidInput({"template": f"placeholders and values differ in {different}"})
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)


def write_whole(file: Path, text: str, *, private: bool = False) -> None:
    """Write a file so that a reader meets the old text or the new, never a part. `private`: for this user alone."""
    draft = file.with_name(file.name + ".draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600 if private else 0o644)
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)
