"""Text inputs in the model's vocabulary. Training and serving both use these functions, so they cannot differ."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, lru_cache
from urllib.parse import quote

from homeprices.tables.cells import LATER as LATER
from homeprices.tables.cells import MISSING as MISSING
from homeprices.tables.cells import READY as READY
from homeprices.tables.cells import UNKNOWN as UNKNOWN
from homeprices.tables.cells import is_missing, status
from homeprices.tables.cells import key_of as key_of
from homeprices.tables.cells import tidy as tidy

OTHER_LOCATION = "other"
"""The learned name that stands for every location that the model has not learned."""

PLACES_CACHED = 4096

AREA_TYPES = ("Super built-up Area", "Built-up Area", "Plot Area", "Carpet Area")


def choice_of(text: str, choices: tuple[str, ...]) -> str | None:
    """The choice of which this text is a spelling, or None."""
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


@lru_cache(maxsize=PLACES_CACHED)
def place_header(text: str) -> str:
    """A place as the header `X-Home-Place` states it: its key, percent-encoded like JavaScript's encodeURIComponent."""
    return quote(key_of(text), safe="!'()*")


class Locations:
    """The locations that a model has learned, found in any spelling."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        self._by_key = {key_of(name): name for name in self.names}

    def match(self, text: str) -> str:
        """The learned location of which this text is a spelling, else `other`."""
        return self._by_key.get(key_of(text), OTHER_LOCATION)

    def nearest(self, text: str) -> str | None:
        """Return the only learned name that differs from a text by blanks, punctuation or one slip of the pen, or None.

        A slip is one letter that is missing, added or another, or two neighbours exchanged. With several such names
        there is no answer, because a guess between them would mislead.
        """
        wanted = _letters(text)
        same = self._by_letters.get(wanted, ())
        if same or len(wanted) < SHORTEST_MISSPELT:
            return same[0] if len(same) == 1 else None
        # One slip leaves the first two or the last two letters as they are.
        candidates = {*self._by_edge.get(wanted[:2], ()), *self._by_edge.get(f"-{wanted[-2:]}", ())}
        near = {name for letters, name in candidates if _one_slip_apart(wanted, letters)}
        return near.pop() if len(near) == 1 else None

    @cached_property
    def _by_letters(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.names:
            if name != OTHER_LOCATION:
                found.setdefault(_letters(name), []).append(name)
        return found

    @cached_property
    def _by_edge(self) -> dict[str, list[tuple[str, str]]]:
        """The letters and the name of each location, by its first two letters, and by `-` and its last two."""
        found: dict[str, list[tuple[str, str]]] = {}
        for letters, names in self._by_letters.items():
            for edge in (letters[:2], f"-{letters[-2:]}"):
                found.setdefault(edge, []).extend((letters, name) for name in names)
        return found

    def __contains__(self, text: str) -> bool:
        return key_of(text) in self._by_key


SHORTEST_MISSPELT = 5
"""Shorter names have too many neighbours by one letter."""


def _letters(text: str) -> str:
    return "".join(char for char in key_of(text) if char.isalnum())


def _one_slip_apart(one: str, other: str) -> bool:
    if abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    left, right = one[start : len(one) - end], other[start : len(other) - end]
    return max(len(left), len(right)) <= 1 or (len(left) == 2 and left == right[::-1])
