"""A home as a visitor describes it: the four fields of the form, and four that may be left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from homeprices.errors import InvalidInput

# A single room has about 100 square feet; the largest listing of the public data has 42,000.
AREA_LIMITS_SQUARE_FEET = (100.0, 100_000.0)
ROOM_LIMITS = (1, 50)
BALCONY_LIMITS = (0, 50)
TEXT_LIMIT = 100
WORDS_KEPT = 8192  # spellings whose tidy form and key are remembered: homes share their words, and a batch has many

AREA_TYPES = ("Super built-up Area", "Built-up Area", "Plot Area", "Carpet Area")

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_FIELD_OF_ALL = "body"


@lru_cache(maxsize=WORDS_KEPT)
def tidy(text: str) -> str:
    """The text with single spaces, and none at its ends."""
    return " ".join(text.split())


@lru_cache(maxsize=WORDS_KEPT)
def key_of(text: str) -> str:
    """What two spellings of one name share: capitals and spaces do not count."""
    return tidy(text).casefold()


def area_type_of(text: str) -> str | None:
    """The area type that this is a spelling of, or None."""
    return _AREA_TYPE_BY_KEY.get(key_of(text))


_AREA_TYPE_BY_KEY = {key_of(name): name for name in AREA_TYPES}


def _stripped(value: Any) -> Any:
    """Form values come as text with stray spaces; a truth value is not a number, whatever Python thinks."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value.strip() if isinstance(value, str) else value


def _blank_is_missing(value: Any) -> Any:
    value = _stripped(value)
    return None if value == "" else value


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        if _UNPRINTABLE.search(value):
            raise ValueError("must not hold control characters")
        return tidy(value)
    return value


def _known_area_type(value: str | None) -> str | None:
    if value is None:
        return None
    name = area_type_of(value)
    if name is None:
        raise ValueError(f"must be one of {', '.join(AREA_TYPES)}")
    return name


_Area = Annotated[
    float,
    BeforeValidator(_stripped),
    Field(ge=AREA_LIMITS_SQUARE_FEET[0], le=AREA_LIMITS_SQUARE_FEET[1], allow_inf_nan=False),
]
_Rooms = Annotated[int, BeforeValidator(_stripped), Field(ge=ROOM_LIMITS[0], le=ROOM_LIMITS[1])]
_Text = Annotated[str, BeforeValidator(_printable), Field(min_length=1, max_length=TEXT_LIMIT)]
# The limits stand inside the union: a missing value has none. Validators run from the last to the first.
_OptionalText = Annotated[
    Annotated[str, Field(max_length=TEXT_LIMIT)] | None,
    BeforeValidator(_blank_is_missing),
    BeforeValidator(_printable),
]
_OptionalRooms = Annotated[
    Annotated[int, Field(ge=BALCONY_LIMITS[0], le=BALCONY_LIMITS[1])] | None, BeforeValidator(_blank_is_missing)
]


class Home(BaseModel):
    """The inputs of an estimate: total_sqft in square feet, location, bhk (bedrooms), bath; the rest may be missing."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    total_sqft: _Area
    location: _Text
    bhk: _Rooms
    bath: _Rooms
    area_type: Annotated[_OptionalText, AfterValidator(_known_area_type)] = None
    balcony: _OptionalRooms = None
    availability: _OptionalText = None
    society: _OptionalText = None

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Home:
        """The home that a JSON object or a form describes; numbers may be text. Raises InvalidInput, a line a field."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            fields: dict[str, str] = {}
            for problem in error.errors(include_url=False):
                name = str(problem["loc"][0]) if problem["loc"] else _FIELD_OF_ALL
                fields.setdefault(name, _sentence(name, problem["type"], problem["msg"]))
            raise InvalidInput(fields) from None


_LIMITS = {"total_sqft": AREA_LIMITS_SQUARE_FEET, "bhk": ROOM_LIMITS, "bath": ROOM_LIMITS, "balcony": BALCONY_LIMITS}
_UNITS = {"total_sqft": " square feet"}


def _sentence(name: str, kind: str, message: str) -> str:
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return f"is not a field; known are {', '.join(Home.model_fields)}"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if name in _LIMITS:
        low, high = _LIMITS[name]
        what = "a number" if name == "total_sqft" else "a whole number"
        return f"must be {what} from {low:,.0f} to {high:,.0f}{_UNITS.get(name, '')}"
    return f"must be text of 1 to {TEXT_LIMIT} characters"
