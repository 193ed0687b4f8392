"""The inputs of a prediction, each declared once.

The validated home, the API's schema, the web form, the columns of batches, the features that drift compares and the
inputs of a bundle's graph are derived from `INPUTS`. To add an optional input, declare it here, read it from listings
(`data/listing.py`), use it in the model (`model/features_by_estimator.py`), and run `make inputs`. The prediction log
stores inputs as JSON and needs no migration.
"""

from __future__ import annotations

from collections.abc import Mapping

from homeprices.input_field import InputField, Spelling
from homeprices.pricing.features import AREA_TYPES, area_type_feature, availability_feature, key_feature
from homeprices.tables.cells import LONGEST_TEXT
from homeprices.tables.units import SQUARE_FEET, bedrooms

TEXT_LIMIT = LONGEST_TEXT
SMALL_BEDROOMS = 2

BEDROOMS, BATHS, SOCIETY = "bhk", "bath", "society"

# The roles of inputs, for code that does not know what is priced.
AREA, LOCATION = "total_sqft", "location"
"""A required number that the price never falls with, and a required text whose values the model learns."""
COUNTS: tuple[str, ...] = (BEDROOMS, BATHS)
"""Required whole numbers. The first one divides homes into kinds. There may be none."""
SECOND = BEDROOMS
"""The number that is shown of a listing, with the area."""
PRICE_BANDS = (50.0, 100.0)
"""Limits between the bands of prices by which an experiment is judged, in the unit of prices."""
PROBED_AREAS = (300.0, 10_000.0)
"""Between these, validation checks that the price does not fall."""
SPELT: Mapping[str, Spelling] = {
    "size": Spelling(BEDROOMS, bedrooms, "bedrooms such as 2 BHK, 4 Bedroom or 2", "2 BHK")
}
"""The listings' own columns for an input, whose text holds its number."""

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


def limits_of(name: str) -> tuple[float, float]:
    """The limits of a number, both included."""
    limits = INPUT[name].limits
    assert limits is not None, f"{name} is a number without limits"
    return limits
