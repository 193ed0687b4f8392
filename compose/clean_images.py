"""Remembers which images were found without a secret, so that `make lint` reads an image once and not at every turn.

What is kept are digests of an image's id, the secrets that were looked for, and the code that looked; in the user's
cache, so that several clones of the project share it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

MOST_REMEMBERED = 200


class CleanImages:
    """The memory in `file`. A file that cannot be read remembers nothing."""

    def __init__(self, file: Path, values: Mapping[str, str], scanner: bytes) -> None:
        self._file = file
        self._looked_for = hashlib.sha256(scanner + json.dumps(sorted(values.items())).encode()).hexdigest()
        self._known = _read(file)

    def knows(self, image_id: str) -> bool:
        """Whether this very image was looked at before, for these secrets, by this code."""
        return self._digest(image_id) in self._known

    def remember(self, image_ids: Iterable[str]) -> None:
        """Keep that these are clean."""
        self._known = [*self._known, *map(self._digest, image_ids)][-MOST_REMEMBERED:]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(self._known))
        draft.replace(self._file)

    def _digest(self, image_id: str) -> str:
        return hashlib.sha256(f"{image_id} {self._looked_for}".encode()).hexdigest()


def default_file() -> Path:
    """Where a user's memory is."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "homeprices" / "clean-images.json"


def _read(file: Path) -> list[str]:
    try:
        return [str(one) for one in json.loads(file.read_text())]
    except (OSError, ValueError, TypeError):
        return []
