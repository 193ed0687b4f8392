"""Feedback of visitors on a prediction: its validation, its rating scale, and the price error that it yields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from homeprices.errors import InvalidInput
from homeprices.input_field import bounded
from homeprices.words import ITEM, PRICE_UNIT

FeedbackType = Literal["rating", "accurate", "too_high", "too_low", "actual_price"]

STARS = (1, 5)
# In the unit of prices. The most expensive listing of the public data has 3,600; nothing costs ten times that.
ACTUAL_PRICE_LIMITS = (0.1, 100_000.0)
TEXT_LIMIT = 2_000
QUICK_FEEDBACK_STARS: Mapping[FeedbackType, int] = {"accurate": 5, "too_high": 2, "too_low": 2}
"""The stars that quick feedback counts as, where the same visitor gave no rating of that prediction."""

RATED_TYPES: tuple[FeedbackType, ...] = ("rating", *QUICK_FEEDBACK_STARS)
RATED_SQL = f"feedback_type IN {RATED_TYPES!r}"
"""SQL condition on a row of `user_feedback`: it counts as a rating."""

RATING_SQL = (
    "CASE feedback_type WHEN 'rating' THEN feedback_value "
    + " ".join(f"WHEN '{kind}' THEN {stars}" for kind, stars in QUICK_FEEDBACK_STARS.items())
    + " END"
)
"""SQL expression of the stars of a row that satisfies `RATED_SQL`."""

SOUND_FEEDBACK = f"""(CASE feedback_type
    WHEN 'rating' THEN feedback_value BETWEEN {STARS[0]} AND {STARS[1]}
    WHEN 'actual_price' THEN feedback_value BETWEEN {ACTUAL_PRICE_LIMITS[0]} AND {ACTUAL_PRICE_LIMITS[1]}
    ELSE true
END IS TRUE)"""
"""SQL condition on a row of `user_feedback`: its value is one that the service accepts. Others are inserted by hand."""

MAX_PRICE_ERROR = 1.0
"""A price error counts as the whole price at most, so that a price with a digit too many decides no experiment."""

PRICE_ERROR_SQL = f"least(abs(estimate - feedback_value) / feedback_value, {MAX_PRICE_ERROR:g})"
"""SQL expression of `price_error`, of a prediction joined with its `actual_price` feedback."""

LARGEST_ID = 2**53 - 1  # what a browser's numbers can hold exactly

_VALUED = {
    "rating": "a whole number of stars from 1 to 5",
    "actual_price": f"a price in {PRICE_UNIT} from 0.1 to 100,000",
}


def _form_number(value: Any) -> Any:
    """Return a form's number, which comes as text; None for an empty field. Raises ValueError for a truth value."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    if isinstance(value, str):
        value = value.strip()
    return None if value == "" else value


def _readable(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if any(not (c.isprintable() or c.isspace()) or "\x1c" <= c <= "\x1f" for c in value.strip()):
        raise ValueError("must not hold control characters")
    return value.strip() or None


_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=TEXT_LIMIT)]


def price_error(estimate: float, price: float) -> float:
    """Return the relative error of an estimate, both in lakh rupees, capped at `MAX_PRICE_ERROR`."""
    return min(abs(estimate - price) / price, MAX_PRICE_ERROR)


_PredictionId = Annotated[int, BeforeValidator(_form_number), Field(ge=1, le=LARGEST_ID)]
_PREDICTION_ID: TypeAdapter[int] = TypeAdapter(_PredictionId, config=ConfigDict(hide_input_in_errors=True))


class Feedback(BaseModel):
    """Feedback on a prediction. `feedback_value` is the stars of a `rating` or the lakh rupees of an `actual_price`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    prediction_id: _PredictionId
    feedback_type: FeedbackType
    feedback_value: Annotated[_Finite | None, BeforeValidator(_form_number)] = None
    feedback_text: Annotated[_Text | None, BeforeValidator(_readable)] = None

    @model_validator(mode="after")
    def _value_fits_the_type(self) -> Feedback:
        problem = _problem(self.feedback_type, self.feedback_value)
        if problem:
            raise InvalidInput({"feedback_value": problem})
        return self

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Feedback:
        """Return the feedback in a JSON object or a form. Raises InvalidInput with a sentence per field."""
        values, more = bounded(values, cls.model_fields)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            fields: dict[str, str] = {}
            for problem in error.errors(include_url=False):
                name = str(problem["loc"][0]) if problem["loc"] else "body"
                fields.setdefault(name, _sentence(name, problem["type"], problem["msg"]))
            raise InvalidInput(fields, more) from None


def _problem(kind: str, value: float | None) -> str | None:
    """Return the fault of the value of this type of feedback, or None."""
    if kind not in _VALUED:
        return None if value is None else f"must be left out when feedback_type is {kind}"
    if value is None:
        return f"is required when feedback_type is {kind}: {_VALUED[kind]}"
    if kind == "rating":
        fits = STARS[0] <= value <= STARS[1] and value == int(value)
    else:
        fits = ACTUAL_PRICE_LIMITS[0] <= value <= ACTUAL_PRICE_LIMITS[1]
    return None if fits else f"must be {_VALUED[kind]}"


def prediction_id_of(value: Any) -> int:
    """Return the id of a prediction in a JSON object or a form; None is a missing field. Raises InvalidInput."""
    if value is None:
        raise InvalidInput({"prediction_id": f"is required: the one of your estimate of this {ITEM}"})
    try:
        return _PREDICTION_ID.validate_python(value)
    except ValidationError as error:
        (problem, *_) = error.errors(include_url=False)
        raise InvalidInput({"prediction_id": _sentence("prediction_id", problem["type"], problem["msg"])}) from None


def _sentence(name: str, kind: str, message: str) -> str:
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return f"is not a field; known are {', '.join(Feedback.model_fields)}"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    return {
        "prediction_id": "must be the prediction_id of an estimate, a whole number",
        "feedback_type": f"must be one of {', '.join(get_args(FeedbackType))}",
        "feedback_value": "must be a number",
        "feedback_text": f"must be text of at most {TEXT_LIMIT:,} characters",
    }.get(name, message)
