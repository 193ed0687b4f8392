"""The inputs of a prediction, each declared once.

The validated home, the API's schema, the web form, the columns of batches, the features that drift compares and the
inputs of a bundle's graph are derived from `INPUTS`. To add an optional input, declare it here, read it from listings
(`data/schema.py`, `data/cleaning.py`), use it in the model (`model/feature_matrix.py`), and run `make inputs`. The
prediction log stores inputs as JSON and needs no migration.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from homeprices.pricing.features import AREA_TYPES, area_type_feature, availability_feature, key_feature
from homeprices.tables.cells import LONGEST_TEXT
from homeprices.tables.units import SQUARE_FEET

TEXT_LIMIT = LONGEST_TEXT
SMALL_BEDROOMS = 2

# Names for code that computes with one particular input.
AREA, LOCATION, BEDROOMS, BATHS, SOCIETY = "total_sqft", "location", "bhk", "bath", "society"

SIZE = "size"
"""The listings' own column for the bedrooms: `2 BHK`, `4 Bedroom`."""


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


INPUTS = (
    InputField(
        name=AREA,
        kind="number",
        label="Area",
        noun="area",
        description="area in square feet",
        drift_name="area",
        example=1200,
        required=True,
        # A single room has about 100 square feet; the largest listing of the public data has 42,000.
        limits=(100.0, 100_000.0),
        unit="square feet",
        unit_symbol="sq ft",
        other_units=(("sq m", SQUARE_FEET["sqm"]), ("sq yd", SQUARE_FEET["sqyd"])),
    ),
    InputField(
        name=LOCATION,
        kind="text",
        label="Location",
        noun="location",
        description="a locality of Bangalore; an unknown one is priced as other",
        drift_name="location",
        example="Whitefield",
        required=True,
    ),
    InputField(
        name=BEDROOMS,
        kind="whole",
        label="BHK",
        abbreviates="Bedrooms, hall, kitchen",
        noun="bedrooms",
        description="bedrooms",
        drift_name="number of bedrooms",
        example=2,
        required=True,
        limits=(1, 50),
        start=2,
        segment_limit=SMALL_BEDROOMS,
    ),
    InputField(
        name=BATHS,
        kind="whole",
        label="Bathrooms",
        noun="bathrooms",
        description="bathrooms",
        drift_name="number of baths",
        example=2,
        required=True,
        limits=(1, 50),
        start=2,
    ),
    InputField(
        name="area_type",
        kind="text",
        label="Area is measured as",
        description="what the area counts",
        drift_name="area type",
        example=AREA_TYPES[0],
        choices=AREA_TYPES,
        options=(
            ("Super built-up Area", "Super built-up area"),
            ("Built-up Area", "Built-up area"),
            ("Carpet Area", "Carpet area"),
            ("Plot Area", "Plot area"),
        ),
        feature=area_type_feature,
    ),
    InputField(
        name="balcony",
        kind="whole",
        label="Balconies",
        noun="balconies",
        description="balconies",
        drift_name="number of balconies",
        example=1,
        limits=(0, 50),
    ),
    InputField(
        name="availability",
        kind="text",
        label="Availability",
        description="ready to move in, or a date",
        drift_name="availability",
        example="Ready To Move",
        options=(
            ("Ready To Move", "Ready to move in"),
            ("Immediate Possession", "Immediate possession"),
            ("Under Construction", "Under construction"),
        ),
        feature=availability_feature,
    ),
    InputField(
        name=SOCIETY,
        kind="text",
        label="Society",
        description="the housing society",
        drift_name="society",
        example="Prestige Lakeside",
        feature=key_feature,
    ),
)

INPUT = {field.name: field for field in INPUTS}
NUMBERS = tuple(field.name for field in INPUTS if not field.is_text)
WHOLE_NUMBERS = frozenset(field.name for field in INPUTS if field.kind == "whole")
TEXTS = tuple(field.name for field in INPUTS if field.is_text)
REQUIRED = tuple(field.name for field in INPUTS if field.required)
OPTIONAL = tuple(field.name for field in INPUTS if not field.required)


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


def limits_of(name: str) -> tuple[float, float]:
    """The limits of a number, both included."""
    limits = INPUT[name].limits
    assert limits is not None, f"{name} is a number without limits"
    return limits
