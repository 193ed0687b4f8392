"""Text inputs in the model's vocabulary. Training and serving both use these functions, so they cannot differ."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

OTHER_LOCATION = "other"
"""The learned name that stands for every location that the model has not learned."""

AREA_TYPES = ("Super built-up Area", "Built-up Area", "Plot Area", "Carpet Area")
READY, LATER, MISSING = "ready", "later", ""
CACHED_SPELLINGS = 8192  # texts whose tidy form and key are cached: homes share their texts, and a batch has many

_READY = re.compile(r"ready|immediate|possession now")


@lru_cache(maxsize=CACHED_SPELLINGS)
def tidy(text: str) -> str:
    """The text with single spaces, and none at its ends."""
    return " ".join(text.split())


@lru_cache(maxsize=CACHED_SPELLINGS)
def key_of(text: str) -> str:
    """The key that all spellings of one name share; it ignores capitals and repeated spaces."""
    return tidy(text).casefold()


def choice_of(text: str, choices: tuple[str, ...]) -> str | None:
    """The choice that this is a spelling of, or None."""
    return _choice_by_key(choices).get(key_of(text))


@lru_cache
def _choice_by_key(choices: tuple[str, ...]) -> dict[str, str]:
    return {key_of(choice): choice for choice in choices}


def area_type_feature(text: str | None) -> str:
    """The canonical area type; empty when missing or unknown."""
    return (choice_of(text, AREA_TYPES) or MISSING) if text else MISSING


def availability_feature(text: str | None) -> str:
    """`ready` (to move in), `later` (any date), or empty when missing."""
    if not text or not text.strip():
        return MISSING
    return READY if _READY.search(key_of(text)) else LATER


def key_feature(text: str | None) -> str:
    """The text's key; empty when missing."""
    return key_of(text) if text else MISSING


class Locations:
    """The locations that a model has learned, found in any spelling."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        self._by_key = {key_of(name): name for name in self.names}

    def match(self, text: str) -> str:
        """The learned name that this is a spelling of, else `other`."""
        return self._by_key.get(key_of(text), OTHER_LOCATION)

    def __contains__(self, text: str) -> bool:
        return key_of(text) in self._by_key
