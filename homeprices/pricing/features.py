"""Text inputs in the model's vocabulary. Training and serving both use these functions, so they cannot differ."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from homeprices.tables.cells import LATER as LATER
from homeprices.tables.cells import MISSING as MISSING
from homeprices.tables.cells import READY as READY
from homeprices.tables.cells import UNKNOWN as UNKNOWN
from homeprices.tables.cells import is_missing, status
from homeprices.tables.cells import key_of as key_of
from homeprices.tables.cells import tidy as tidy

OTHER_LOCATION = "other"
"""The learned name that stands for every location that the model has not learned."""

AREA_TYPES = ("Super built-up Area", "Built-up Area", "Plot Area", "Carpet Area")


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
    """`ready` (to move in), `later` (a date, or not yet), `unknown` (any other text), or empty when missing."""
    return status(text) if text else MISSING


def key_feature(text: str | None) -> str:
    """The text's key; empty when missing."""
    return key_of(text) if text and not is_missing(text) else MISSING


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
