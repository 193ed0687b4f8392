"""The declaration of one input of a prediction, whatever is priced. `pricing/inputs.py` declares them."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple


@dataclass(frozen=True, kw_only=True)
class InputField:
    """One input. A `number` may have decimals, a `whole` may not; both are float32 in the graph, a missing one NaN."""

    name: str
    kind: Literal["number", "whole", "text"]
    description: str
    """For the API's schema and the documents."""
    example: float | str
    drift_name: str
    """The subject of the sentences of drift reports."""
    label: str
    """In the form, `abbreviates` is its long form."""
    abbreviates: str = ""
    noun: str = ""
    """In the form's messages: `Enter 1 to 50 bedrooms`."""
    required: bool = False
    limits: tuple[float, float] | None = None
    unit: str = ""
    unit_symbol: str = ""
    other_units: tuple[tuple[str, float], ...] = ()
    """Units that the form converts, as (symbol, how much of `unit` it is)."""
    choices: tuple[str, ...] = ()
    """Every text that is accepted; empty: any text."""
    options: tuple[tuple[str, str], ...] = ()
    """The options of the form, as (value, label), if it does not take free text."""
    start: int | None = None
    """The form's initial value."""
    feature: Callable[[str | None], str] | None = None
    """A text in the model's vocabulary; None: matched with the locations that the model has learned."""
    segment_limit: int | None = None
    """Drift also compares homes up to this value with homes above it, each with its own kind."""

    @property
    def is_text(self) -> bool:
        return self.kind == "text"

    @property
    def article(self) -> str:
        """The article of the noun at the beginning of a sentence."""
        return "An" if self.noun[:1] in set("aeiou") else "A"


class Spelling(NamedTuple):
    """A column of listings whose text holds the whole number of an input."""

    name: str
    read: Callable[[str], float | None]
    expected: str
    """For the message about another text: `must be ...`."""
    example: str


MOST_UNKNOWN = 10
"""The most unknown fields of a request that an error names."""


def bounded(values: Mapping[str, Any], known: Container[str]) -> tuple[dict[str, Any], int]:
    """Return the known fields with the first `MOST_UNKNOWN` unknown ones, and how many more there are.

    A field that is left out would cost about 2 KB in the validation and 100 bytes in the answer.
    """
    kept: dict[str, Any] = {}
    unknown = 0
    for name, value in values.items():
        if name in known:
            kept[name] = value
        elif (unknown := unknown + 1) <= MOST_UNKNOWN:
            kept[name] = None
    return kept, max(0, unknown - MOST_UNKNOWN)
