"""The validated input of one prediction, made of the declared inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticCustomError

from homeprices.errors import InvalidInput
from homeprices.foreign_text import quoted
from homeprices.input_field import InputField, bounded
from homeprices.pricing.features import choice_of, tidy
from homeprices.pricing.inputs import INPUT, INPUTS, LOCATION, TEXT_LIMIT
from homeprices.tables.cells import has_controls, is_missing, number

_WHOLE_BODY = "body"
LONGEST_VALUE = 40
"""Characters of a refused value that a sentence shows."""


_NO_NUMBER = "no number"  # which pydantic refuses with the sentence of the field


def _number(value: Any) -> Any:
    """Parse a number that is text, from a form or a file, as in a table.

    Reject a truth value, although Python accepts it as a number.
    """
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    if isinstance(value, str):
        found = number(value)
        return _NO_NUMBER if found is None else found
    return value


def _number_or_missing(value: Any) -> Any:
    return None if isinstance(value, str) and is_missing(value) else _number(value)


def _required_number(value: Any) -> Any:
    return _number(_present(value))


def _present(value: Any) -> Any:
    """Return a required value. Reject None, a blank, and a word for a missing value as an absent field is rejected."""
    if value is None or (isinstance(value, str) and is_missing(value)):
        raise PydanticCustomError("missing", "is required")
    return value


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        if has_controls(value):
            raise ValueError("must not hold control characters")
        return tidy(value)
    return value


def _printable_or_missing(value: Any) -> Any:
    value = _printable(value)
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return None if isinstance(value, str) and is_missing(value) else value


def _required_text(value: Any) -> Any:
    return _present(_printable(value))


def _one_of(choices: tuple[str, ...]) -> Callable[[str | None], str | None]:
    def canonical(value: str | None) -> str | None:
        if value is None:
            return None
        choice = choice_of(value, choices)
        if choice is None:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return choice

    return canonical


def _annotation(field: InputField) -> Any:
    """The type of a field. An optional one has its limits inside the union, because a missing value has none; pydantic
    runs validators from the last to the first.
    """
    if field.is_text:
        limits = Field(min_length=1 if field.required else None, max_length=TEXT_LIMIT)
        if field.required:
            annotation: Any = Annotated[str, BeforeValidator(_required_text), limits]
        else:
            text = Annotated[str, limits]
            annotation = Annotated[text | None, BeforeValidator(_printable_or_missing)]
        return Annotated[annotation, AfterValidator(_one_of(field.choices))] if field.choices else annotation
    low, high = field.limits or (None, None)
    if field.kind == "number":
        value: Any = Annotated[float, Field(ge=low, le=high, allow_inf_nan=False)]
    else:
        value = Annotated[int, Field(ge=low, le=high)]
    if field.required:
        return Annotated[value, BeforeValidator(_required_number)]
    return Annotated[value | None, BeforeValidator(_number_or_missing)]


_FIELDS: dict[str, Any] = {field.name: (_annotation(field), ... if field.required else None) for field in INPUTS}


class _Home(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Home(create_model("_Declared", __base__=_Home, **_FIELDS)):  # type: ignore[misc]
    """A home as a visitor describes it: a field for each declared input, None for an optional one that is missing."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The value of a declared input."""

    @property
    def place(self) -> str:
        """The text of `LOCATION`, as the visitor wrote it."""
        return str(getattr(self, LOCATION))

    @classmethod
    def parse(cls, values: Mapping[str, Any], name_values: bool = False) -> Home:
        """Return the home in a JSON object or a form; numbers may be text.

        Raises InvalidInput with a line per field. With `name_values` a line ends with the value, for a sender of many
        homes, who does not see it beside the field.
        """
        more = 0
        if len(values) > len(INPUT):
            values, more = bounded(values, INPUT)
        try:
            home: Home = cls.model_validate(dict(values))
        except ValidationError as error:
            fields: dict[str, str] = {}
            for problem in error.errors(include_url=False):
                name = str(problem["loc"][0]) if problem["loc"] else _WHOLE_BODY
                sentence = _sentence(name, problem["type"], problem["msg"])
                if name_values and name in INPUT and problem["type"] != "missing":
                    sentence += f"; it is {_shown(values[name])}"
                fields.setdefault(name, sentence)
            raise InvalidInput(fields, more) from None
        return home


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int) and abs(value) >= 10**LONGEST_VALUE:  # Python writes no number of thousands of digits
        value //= 10 ** (int(math.log10(abs(value))) - LONGEST_VALUE)
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        value = int(value)  # a column of numbers has made a float of it
    return quoted(str(value), LONGEST_VALUE)


def _sentence(name: str, kind: str, message: str) -> str:
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return f"is not a field; known are {', '.join(INPUT)}"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    field = INPUT.get(name)
    if field and field.limits:
        low, high = field.limits
        number = "a number" if field.kind == "number" else "a whole number"
        return f"must be {number} from {low:,.12g} to {high:,.12g} {field.unit}".rstrip()
    return f"must be text of 1 to {TEXT_LIMIT} characters"


def _reader(field: InputField) -> Callable[[Home], Any]:
    value = attrgetter(field.name)
    if (feature := field.feature) is not None:
        return lambda home: feature(value(home))
    if field.required:
        return value
    return lambda home: math.nan if (number := value(home)) is None else number


FEATURES: Mapping[str, Callable[[Home], Any]] = {field.name: _reader(field) for field in INPUTS}
"""Functions that compute the graph's inputs from a home: NaN for a missing number, texts in the model's vocabulary.

The location is as the visitor wrote it; `Locations.match` gives the learned one.
"""
