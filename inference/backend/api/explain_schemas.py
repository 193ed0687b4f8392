"""The part of the OpenAPI document about explanations."""

from __future__ import annotations

from typing import Any, get_args

from homeprices.names import EXPLAIN_PATH, PREDICT_PATH
from homeprices.predictions.feedback import LARGEST_ID
from homeprices.pricing.accuracy import MOST_COUNTED, Grade, Listed
from homeprices.pricing.inputs import AREA, COUNTS, INPUT, INPUTS, SECOND, TEXT_LIMIT, WHOLE_NUMBERS
from homeprices.words import A_UNIT, ADDED, CITY, ITEM, ITEMS, PRICE_UNIT, RATE, RATE_UNIT, SHOWN
from inference.backend.api.explain_routes import MOST_COMPARABLES, MOST_REASONS, PREDICTION_ID
from inference.backend.api.feedback_schemas import feedback_components
from inference.backend.api.schemas import BLINDED, VARIANT, VERSION, Schema, components, reference
from inference.backend.api.schemas import _object as object_schema
from inference.backend.runtime.http import JSON_TYPE

COMPONENT, REQUEST = "Explanation", "ExplanationRequest"

_PRICE: Schema = {"type": "number", "description": PRICE_UNIT}
_RATE: Schema = {"type": "integer", "minimum": 0}
_MAYBE_RATE: Schema = {**_RATE, "type": ["integer", "null"]}
_PLACE: Schema = {"type": "string", "maxLength": TEXT_LIMIT}
_SHOWN: dict[str, Schema] = {
    SHOWN[1]: {"type": "integer" if SECOND in WHOLE_NUMBERS else "number", "minimum": 0},
    SHOWN[0]: {"type": "number", "minimum": 0, "description": INPUT[AREA].unit},
    RATE: _RATE,
}
_NAME: Schema = {"type": "string", "enum": [field.name for field in INPUTS]}


def with_explanation(paths: dict[str, Any]) -> dict[str, Any]:
    """Return the paths with that of explanations, which takes what a prediction takes and fails as it fails."""
    predict = paths[PREDICT_PATH]["post"]
    found = {**predict["responses"]["200"], "description": "The reasons for the estimate."}
    body = {media_type: {"schema": reference(REQUEST)} for media_type in predict["requestBody"]["content"]}
    explain = {
        **predict,
        "operationId": "explainHomePrice",
        "summary": f"Explain the estimate of a {ITEM}",
        "description": "The model of the visitor's estimates answers. Nothing is recorded as an estimate.",
        "requestBody": {**predict["requestBody"], "content": body},
        "responses": {
            **predict["responses"],
            "404": paths["/api/feedback"]["post"]["responses"]["404"],
            "200": {**found, "content": {JSON_TYPE: {"schema": reference(COMPONENT)}}},
        },
    }
    return {**paths, EXPLAIN_PATH: {"post": explain}}


def all_components() -> dict[str, Schema]:
    """Return every named schema of the document."""
    known = {**components(), **feedback_components()}
    return {**known, REQUEST: _request(known["Home"]), COMPONENT: _explanation()}


def _request(home: Schema) -> Schema:
    number = {
        "type": "integer",
        "minimum": 1,
        "maximum": LARGEST_ID,
        "description": "of an estimate of this visitor; API keys and trusted networks need none",
    }
    properties = {**home["properties"], PREDICTION_ID: number}
    return {**home, "description": f"A {ITEM}, and an estimate of it.", "properties": properties}


def _explanation() -> Schema:
    return object_schema(
        "Why an estimate is what it is. "
        f"The typical {ITEM}'s price, the reasons and `other_reasons` sum to the estimate.",
        (*BLINDED, "notice", "accuracy"),
        estimated_price={**_PRICE, "exclusiveMinimum": 0},
        location_known={"type": "boolean"},
        accuracy=_accuracy(),
        typical_home=object_schema(
            f"The median {ITEM} of the place in training, or of {CITY} if the place is not known.",
            place=_PLACE,
            homes={"type": ["integer", "null"], "minimum": 1, "description": f"{ITEMS} of the place in training"},
            estimated_price={**_PRICE, "exclusiveMinimum": 0},
            inputs={
                "type": "object",
                "description": f"its inputs as a visitor reads them, of those that the {ITEM} of the request has, too",
                "additionalProperties": {"type": "string"},
            },
        ),
        reasons={
            "type": "array",
            "maxItems": MOST_REASONS,
            "description": f"exact Shapley values of inputs that differ from the typical {ITEM}'s, largest first",
            "items": object_schema(
                "What an input adds to the price.", input=_NAME, **{ADDED: _PRICE}, sentence={"type": "string"}
            ),
        },
        other_reasons={**_PRICE, "description": f"{PRICE_UNIT} that all further inputs add together"},
        **{
            RATE: object_schema(
                f"{RATE_UNIT.capitalize()}: of this estimate, and medians of the listings in training.",
                home=_RATE,
                place=_MAYBE_RATE,
                city=_MAYBE_RATE,
            )
        },
        comparables={
            "type": "array",
            "maxItems": MOST_COMPARABLES,
            "description": f"the training listings that are most like the {ITEM}, of its place if that is known",
            "items": object_schema(
                f"A listing: its asking price {A_UNIT}, and how much it is alike (Gower's coefficient).",
                place=_PLACE,
                **_SHOWN,
                alike={"type": "number", "minimum": 0, "maximum": 1},
            ),
        },
        notice={"type": "string", "description": "a limitation of this explanation, for the visitor"},
        variant={**VARIANT, "description": "trusted networks only"},
        model_version={**VERSION, "description": "trusted networks only"},
    )


def _accuracy() -> Schema:
    """The schema of `accuracy`, of which bundles that are older than it have none."""
    share: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    limit: Schema = {"type": ["number", "null"], "description": f"{PRICE_UNIT}; null: no limit"}
    counted: Schema = {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": MOST_COUNTED,
        "description": f"{MOST_COUNTED}: or more",
    }
    kind = object_schema(
        f"The kind of {ITEM} that was measured, widened until it had enough {ITEMS}; null stands for any.",
        listed={"enum": [*get_args(Listed), None], "description": "how often the place is listed in training"},
        **({"bedrooms": counted} if COUNTS else {}),
        price_from=limit,
        price_to=limit,
    )  # fmt: skip
    found = object_schema(
        f"How close estimates of such {ITEMS} came to the listed prices of the hold-out. "
        f"Null for an unusual {ITEM}, and of a model that was trained before this was measured.",
        grade={"type": "string", "enum": list(get_args(Grade)), "description": "by the median error of the kind"},
        grade_within_20={**share, "description": f"of all hold-out {ITEMS} with this grade, the share within 20 %"},
        median_error={"type": "number", "minimum": 0, "description": "half of the estimates were this close or closer"},
        within_20={**share, "description": "the share of the kind with an error of at most 20 %"},
        homes={"type": "integer", "minimum": 1, "description": f"hold-out {ITEMS} of the kind"},
        kind=kind,
        sentence={"type": "string"},
    )
    return {**found, "type": ["object", "null"]}
