"""The inputs of a prediction: what a visitor knows of a diamond."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from homeprices.input_field import InputField, Spelling
from homeprices.pricing.features import MISSING, choice_of
from homeprices.tables.cells import LONGEST_TEXT

TEXT_LIMIT = LONGEST_TEXT

AREA, LOCATION = "carat", "clarity"
COUNTS: tuple[str, ...] = ()
SECOND = "depth"
PRICE_BANDS = (1_000.0, 5_000.0)
PROBED_AREAS = (0.2, 5.0)
SPELT: Mapping[str, Spelling] = {}

CUTS = ("Fair", "Good", "Very Good", "Premium", "Ideal")
COLOURS = ("J", "I", "H", "G", "F", "E", "D")
CLARITIES = ("I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF")
"""Grades, each from the worst to the best."""


def grade_of(choices: tuple[str, ...]) -> Callable[[str | None], str]:
    """Return a function that reads a spelling of one of these grades; empty when it is none of them."""
    return lambda text: (choice_of(text, choices) or MISSING) if text else MISSING


INPUTS = (
    InputField(
        name=AREA, kind="number", label="Weight", noun="weight", description="weight in carats",
        drift_name="weight", example=0.7, required=True, limits=(0.1, 10.0), unit="carats", unit_symbol="carat",
    ),
    InputField(
        name=LOCATION, kind="text", label="Clarity", noun="clarity", drift_name="clarity", example="VS2",
        description="the grade of clarity, I1 to IF; an unknown one is priced as other", required=True,
    ),
    InputField(
        name="cut", kind="text", label="Cut", noun="cut", description="the quality of the cut", drift_name="cut",
        example="Ideal", choices=CUTS, feature=grade_of(CUTS), required=True,
    ),
    InputField(
        name="color", kind="text", label="Colour", noun="colour", description="the grade of colour, D is colourless",
        drift_name="colour", example="G", choices=COLOURS, feature=grade_of(COLOURS), required=True,
    ),
    InputField(
        name="depth", kind="number", label="Depth", noun="depth", description="height by mean diameter, in percent",
        drift_name="depth", example=61.8, limits=(40, 80), unit="percent", unit_symbol="%",
    ),
    InputField(
        name="table", kind="number", label="Table", noun="table", description="width of the top facet, in percent",
        drift_name="table", example=57, limits=(40, 100), unit="percent", unit_symbol="%",
    ),
)  # fmt: skip

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
