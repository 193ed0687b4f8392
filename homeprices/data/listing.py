"""What a listing of a home is: its columns, what makes one unusable, and what its columns mean.

`schema`, `cleaning`, `contract` and `preparation` apply these declarations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from homeprices.pricing.features import LATER, READY, area_type_feature, availability_feature
from homeprices.pricing.inputs import INPUT
from homeprices.tables.cells import UNKNOWN, is_missing, status
from homeprices.tables.quantities import RUPEES_A_LAKH
from homeprices.tables.units import parse_area

COLUMNS = ("area_type", "availability", "location", "size", "society", "total_sqft", "bath", "balcony", "price")
NUMBER_COLUMNS = ("bath", "balcony", "price")
MEASURES = ("total_sqft", *NUMBER_COLUMNS)
"""Columns whose cells may have decimal commas."""

PARSERS: Mapping[str, Callable[[str], float | None]] = {"total_sqft": parse_area}
"""How a number is read that people write in several ways, by the name of the input."""

HOME_COLUMNS = ("total_sqft", "location", "bhk", "bath", "area_type", "balcony", "availability", "society")
"""The inputs whose hash decides about the hold-out. Fixed: a new input must not move homes between the sides."""

MIN_SQUARE_FEET_A_BEDROOM = 300.0
TOO_SMALL = "under_300_sqft_a_bedroom"

MISSING_REASONS = {
    "total_sqft": "no_area",
    "bhk": "no_size",
    "location": "no_location",
    "bath": "no_bath",
    "price": "no_price",
}
"""The reason why a row without a value is refused, by input, in the order in which reasons are sought."""


def is_too_small(rows: pd.DataFrame) -> pd.Series:
    """Whether each clean row has too little area for its bedrooms."""
    return rows["total_sqft"] / rows["bhk"] < MIN_SQUARE_FEET_A_BEDROOM


RULES: Mapping[str, tuple[str, Callable[[pd.DataFrame], pd.Series]]] = {TOO_SMALL: ("total_sqft", is_too_small)}
"""Further reasons: the column that each is about, and which rows have it."""

UNKNOWN_WORDS: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "availability": (
        lambda text: status(text) == UNKNOWN,
        "availability that is neither ready nor a date, taken as unknown",
    ),
    "area_type": (
        lambda text: not is_missing(text) and not area_type_feature(text),
        f"area type that is none of {', '.join(INPUT['area_type'].choices)}, taken as missing",
    ),
}
"""Texts of an input that are not understood, and how a note about them begins."""


def _share(answers: Iterable[bool]) -> float:
    values = list(answers)
    return sum(values) / len(values) if values else math.nan


# Wide: the medians of the public data are 1,300 square feet, 3 bedrooms, 70 lakh and 5,500 rupees per square foot.
MEANINGS: tuple[tuple[str, str, float, float, Callable[[pd.DataFrame], float]], ...] = (
    ("total_sqft", "square feet in the middle", 300, 10_000, lambda rows: rows["total_sqft"].median()),
    ("size", "bedrooms in the middle", 1, 10, lambda rows: rows["bhk"].median()),
    ("bath", "baths a bedroom in the middle", 0.3, 3, lambda rows: (rows["bath"] / rows["bhk"]).median()),
    ("balcony", "balconies in the middle", 0, 8, lambda rows: rows["balcony"].median()),
    ("price", "rupees a square foot in the middle", 500, 100_000,
     lambda rows: (rows["price"] * RUPEES_A_LAKH / rows["total_sqft"]).median()),
    ("area_type", "share of area types that are known", 0.5, 1,
     lambda rows: _share(bool(area_type_feature(text)) for text in rows["area_type"] if text)),
    ("availability", "share of availabilities that are `ready` or later", 0.5, 1,
     lambda rows: _share(availability_feature(text) in (READY, LATER) for text in rows["availability"] if text)),
    ("location", "share of locations that hold a letter", 0.5, 1,
     lambda rows: _share(any(letter.isalpha() for letter in text) for text in rows["location"])),
)  # fmt: skip
"""The members of each `contract.Meaning`: a column, a statistic of its clean rows, and the range of its meaning."""
