"""From a home's words to the model's inputs. Training and serving both go through here, so they cannot differ."""

from __future__ import annotations

import re
from collections.abc import Iterable

from homeprices.pricing.home import area_type_of, key_of

OTHER_LOCATION = "other"
"""What a location is priced as when the model has not learned it."""

NUMBERS = ("total_sqft", "bhk", "bath", "balcony")
TEXTS = ("location", "area_type", "availability", "society")
REQUIRED = ("total_sqft", "location", "bhk", "bath")
OPTIONAL = ("area_type", "balcony", "availability", "society")

READY, LATER, MISSING = "ready", "later", ""

_READY = re.compile(r"ready|immediate|possession now")


def area_type_feature(text: str | None) -> str:
    """The canonical area type; empty when missing or unknown."""
    return (area_type_of(text) or MISSING) if text else MISSING


def availability_feature(text: str | None) -> str:
    """`ready` (to move in), `later` (any date), or empty when missing."""
    if not text or not text.strip():
        return MISSING
    return READY if _READY.search(key_of(text)) else LATER


def society_feature(text: str | None) -> str:
    """The society's key; empty when missing."""
    return key_of(text) if text else MISSING


class Locations:
    """The names a model has learned, found whatever their capitals and spaces."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        self._by_key = {key_of(name): name for name in self.names}

    def match(self, text: str) -> str:
        """The learned name that this is a spelling of, else `other`."""
        return self._by_key.get(key_of(text), OTHER_LOCATION)

    def __contains__(self, text: str) -> bool:
        return key_of(text) in self._by_key
