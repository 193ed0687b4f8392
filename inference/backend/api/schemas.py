"""JSON schemas of the API's bodies (draft 2020-12, as in OpenAPI 3.1), with the limits that the code checks."""

from __future__ import annotations

from typing import Any, get_args

from homeprices.errors import BundleFault
from homeprices.input_field import InputField
from homeprices.names import PLACE_HEADER, Variant
from homeprices.pricing.inputs import INPUTS, OPTIONAL, TEXT_LIMIT
from homeprices.words import ITEM, ITEMS, PRICE_UNIT
from inference.backend.api.operator_routes import STATUSES
from inference.backend.api.original_clients import HEALTHY, health_schemas, metrics_schemas

Schema = dict[str, Any]

BLINDED = ("variant", "model_version")  # omitted from responses to visitors

VERSION: Schema = {"type": "string", "pattern": "^(BO|CO|RO)[1-9][0-9]*$", "examples": ["BO3"]}
VARIANT: Schema = {"type": "string", "enum": list(get_args(Variant))}
TIME: Schema = {"type": "string", "format": "date-time"}

PLACE_PARAMETER: Schema = {
    "name": PLACE_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 900},
    "description": "The location in small letters, percent-encoded. A candidate that is tried in some places answers "
    "only requests that state one of them; without it production answers.",
}


def reference(name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def components() -> dict[str, Schema]:
    """The named schemas of homes, estimates, places, and of what operators ask for."""
    return {
        "Home": _home(),
        "Interval": _interval(),
        "Estimate": _estimate(),
        "BatchRow": {"oneOf": [reference("BatchEstimate"), reference("BatchError")]},
        "BatchEstimate": _batch_estimate(),
        "BatchError": _batch_error(),
        "Locations": _object(
            "The locations that the served model has learned, the inputs that it uses, and its training data.",
            (*BLINDED, "inputs", "trained_on"),
            locations={"type": "array", "items": {"type": "string"}},
            inputs={"type": "array", "items": {"type": "string", "enum": [field.name for field in INPUTS]}},
            trained_on={"type": ["string", "null"], "description": "the listings, and the date of their import"},
            model_version=_VISITOR_VERSION,
        ),
        "Health": _health(),
        "Readiness": _object("Whether this instance can take traffic.", ready={"type": "boolean"}, status=_STATE),
        "Traffic": _traffic(),
        "Log": _log(),
        "Tail": _tail(),
        "Drift": _drift(),
        "Problem": _problem(),
    }


_TRUSTED_ONLY = {"description": "trusted networks only"}
_VISITOR_VERSION: Schema = {**VERSION, **_TRUSTED_ONLY}
_STATE: Schema = {
    "type": "string",
    "enum": ["starting", "ok", "idle", "stale"],
    "description": "starting: no model yet; idle: no candidate on trial; "
    "stale: from the local cache, not confirmed by the bucket",
}
_ID: Schema = {
    "type": ["integer", "null"],
    "minimum": 1,
    "description": "identifies this estimate in feedback; null when it could not be logged",
}


def _object(description: str, optional: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """The schema of an object with exactly these members."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _input(field: InputField) -> Schema:
    """The schema of a declared input, with the limits that `Home` checks."""
    if field.choices:
        return {"type": "string", "enum": list(field.choices), "description": field.description}
    if field.limits:
        low, high = field.limits
        kind = "number" if field.kind == "number" else "integer"
        limits: Schema = {"type": kind, "minimum": low, "maximum": high}
    else:
        limits = {"type": "string", "minLength": int(field.required), "maxLength": TEXT_LIMIT}
    return {**limits, "description": field.description, "examples": [field.example]}


def _home() -> Schema:
    properties = {field.name: _input(field) for field in INPUTS}
    return _object(f"A {ITEM}. Numbers may be sent as text, as forms do.", OPTIONAL, **properties)


def _interval() -> Schema:
    return _object(
        f"Prediction interval in {PRICE_UNIT}: it contains the price of a share `coverage` of such {ITEMS}.",
        low={"type": "number", "exclusiveMinimum": 0},
        high={"type": "number", "exclusiveMinimum": 0},
        coverage={"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "examples": [0.9],
                  "description": f"not claimed for a {ITEM} with `unusual`: of such {ITEMS} no share is known"},
    )  # fmt: skip


def _estimated() -> dict[str, Schema]:
    return {
        "estimated_price": {"type": "number", "exclusiveMinimum": 0, "description": PRICE_UNIT, "examples": [69.91]},
        "prediction_id": _ID,
        "interval": reference("Interval"),
        "variant": {**VARIANT, **_TRUSTED_ONLY},
        "model_version": _VISITOR_VERSION,
        "location_known": {"type": "boolean", "description": "false: not known to the model, priced as `other`"},
        "unusual": {
            "type": "object",
            "description": f"what makes the {ITEM} unlike those of the training data, by input; only of such a {ITEM}",
            "additionalProperties": {"type": "string"},
        },
    }


def _estimate() -> Schema:
    return _object(
        "An estimate.",
        (*BLINDED, "notice", "suggested_location", "unusual"),
        **_estimated(),
        response_time_ms={"type": "number", "minimum": 0, "description": "from the request to the estimate"},
        notice={"type": "string", "description": "a limitation of this estimate, for the visitor"},
        suggested_location={"type": "string", "description": "the known location that an unknown one may mean"},
    )


def _batch_estimate() -> Schema:
    description = "An estimate of a batch. In CSV, low and high are separate columns."
    return _object(description, (*BLINDED, "unusual"), **_estimated())


def _batch_error() -> Schema:
    return _object(
        "Why a row of a batch has no estimate.",
        error={"type": "string"},
        fields={"type": "object", "additionalProperties": {"type": "string"}},
    )


_HEALTH_OF_VISITORS = ("time", "version")
_HEALTH_OF_INSIDERS = ("state", "instance", "variant", "model_version", "regional_versions", "workers",
                       "refused_version", "refused_for", "database", "spool_records", "place_prices",
                       *health_schemas())  # fmt: skip


def _health() -> Schema:
    version = {"type": ["string", "null"], "pattern": VERSION["pattern"]}
    some = {"type": "array", "items": VERSION}
    table: Schema = {"type": ["string", "null"], "pattern": "^V[1-9][0-9]*$"}
    of_worker = {"pid": {"type": "integer"}, "model_version": version, "regional_versions": some}
    worker = _object("A worker process.", ("regional_versions",), **of_worker)
    return _object(
        "State of this instance; any response means that it is alive. Visitors see status, time and API version.",
        _HEALTH_OF_VISITORS + _HEALTH_OF_INSIDERS,
        status={
            **_STATE,
            "enum": [*_STATE["enum"], HEALTHY],
            "description": f"{HEALTHY}: takes requests; starting: no model yet. Earlier releases gave `state` here",
        },
        state=_STATE,
        time=TIME,
        version={"type": "string"},
        instance={"type": "string"},
        variant=VARIANT,
        model_version={**version, "description": "of every worker; null when they differ or serve nothing"},
        regional_versions={
            **some,
            "type": ["array", "null"],
            "description": "in some places; null when workers differ",
        },
        workers={"type": "array", "items": worker},
        refused_version={**version, "description": "the newest version, if it was rejected"},
        refused_for={"enum": [*get_args(BundleFault), None], "description": "why that version was rejected"},
        database={"type": "string", "enum": ["up", "down", "unknown"]},
        spool_records={"type": "integer", "minimum": 0, "description": "records that are not in PostgreSQL yet"},
        place_prices=_object(
            "The place prices of this worker. Only where its model uses them.",
            version={**table, "description": "null: none yet, so the levels are those of the training"},
            as_of={"type": "string", "format": "date", "description": "the day of the levels"},
            refused={**table, "description": "the newest version, if it was refused"},
        ),
        **health_schemas(),
    )


def _traffic() -> Schema:
    return _object(
        "Traffic and feedback by serving variant.",
        tuple(metrics_schemas()),
        hours={"type": "integer"},
        since=TIME,
        until=TIME,
        variants={"type": "object", "additionalProperties": {"type": "object"}},
        **metrics_schemas(),
    )


def _log() -> Schema:
    return _object(
        "The newest records, newest first.",
        type={"type": "string"},
        count={"type": "integer", "minimum": 0},
        logs={"type": "array", "items": {"type": "object"}},
    )


def _tail() -> Schema:
    return _object(
        "The last lines of this instance's log, oldest first.",
        instance={"type": "string"},
        count={"type": "integer", "minimum": 0},
        lines={"type": "array", "items": {"type": "object"}},
    )


def _drift() -> Schema:
    number, whole, flag = {"type": ["number", "null"]}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
    indicator = {
        "type": "object",
        "description": "One feature. The p-value is adjusted for all features; a categorical feature has no means.",
        "properties": {
            "reference_mean": number,
            "current_mean": number,
            "drift_percentage": number,
            "significant_drift": flag,
            "test": {"type": "string"},
            "p_value": {"type": "number", "minimum": 0, "maximum": 1},
            "effect": {"type": "object", "additionalProperties": number},
            "sentence": {"type": "string"},
        },
        "required": ["reference_mean", "current_mean", "drift_percentage", "significant_drift"],
    }
    properties = {
        "status": {"type": "string", "enum": list(STATUSES)},
        "timestamp": TIME,
        "age_seconds": number,
        "hours": whole,
        "variant": VARIANT,
        "model_version": {**VERSION, "type": ["string", "null"]},
        "data_points": whole,
        "drift_indicators": {"type": "object", "additionalProperties": indicator},
        "overall_drift_detected": flag,
        "sentence": {"type": "string"},
    }
    return {
        "type": "object",
        "description": "The newest stored report: a variant's traffic compared with the training data of its model.",
        "properties": properties,
        "required": [name for name in properties if name != "sentence"],
    }


def _problem() -> Schema:
    fields = {"type": "object", "description": "for status 422: the error of each field"}
    return {
        "type": "object",
        "description": "An error (RFC 9457). `error` is the same line as `detail`.",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string"},
            "error": {"type": "string"},
            "request_id": {"type": ["string", "null"]},
            "fields": {**fields, "additionalProperties": {"type": "string"}},
        },
        "required": ["type", "title", "status", "detail", "error", "request_id"],
    }
