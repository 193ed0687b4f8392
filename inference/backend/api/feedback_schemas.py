"""The part of the OpenAPI document about feedback."""

from __future__ import annotations

from typing import get_args

from homeprices.predictions.feedback import (
    ACTUAL_PRICE_LIMITS,
    LARGEST_ID,
    QUICK_FEEDBACK_STARS,
    STARS,
    TEXT_LIMIT,
    FeedbackType,
)
from homeprices.words import PRICE_UNIT
from inference.backend.api.schemas import Schema
from inference.backend.api.schemas import _object as object_schema


def feedback_components() -> dict[str, Schema]:
    """Return the schemas of feedback and of its answer."""
    return {"Feedback": _feedback(), "FeedbackTaken": _feedback_taken()}


def _feedback() -> Schema:
    low, high = ACTUAL_PRICE_LIMITS
    value = {
        "type": ["number", "null"],
        "description": f"stars of a rating, {PRICE_UNIT} of an actual_price, else omitted",
    }
    schema = object_schema(
        "A visitor's feedback on an estimate.",
        ("feedback_value", "feedback_text"),
        prediction_id={"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
        feedback_type={"type": "string", "enum": list(get_args(FeedbackType))},
        feedback_value=value,
        feedback_text={"type": ["string", "null"], "maxLength": TEXT_LIMIT},
    )
    rating = {"type": "integer", "minimum": STARS[0], "maximum": STARS[1]}
    price = {"type": "number", "minimum": low, "maximum": high}
    quick = {"feedback_type": {"enum": list(QUICK_FEEDBACK_STARS)}, "feedback_value": {"type": "null"}}
    valued = [
        {"properties": {"feedback_type": {"const": kind}, "feedback_value": allowed}, "required": ["feedback_value"]}
        for kind, allowed in (("rating", rating), ("actual_price", price))
    ]
    return {**schema, "anyOf": [*valued, {"properties": quick}]}


def _feedback_taken() -> Schema:
    return object_schema(
        "The feedback is recorded.",
        status={"type": "string", "const": "recorded"},
        prediction_id={"type": "integer"},
        feedback_type={"type": "string", "enum": list(get_args(FeedbackType))},
    )
