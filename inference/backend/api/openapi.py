"""The API of the service as an OpenAPI 3.1 document, derived from the limits that the code checks.

`python -m inference.backend.api.openapi > inference/openapi.json` writes the committed copy; tests compare it
with the routes and with the responses of a running instance.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel

from homeprices.keys.key_ring import Scope
from homeprices.names import PREDICT_PATH
from homeprices.pricing.inputs import INPUTS
from homeprices.words import ITEM, ITEMS, PRICE_UNIT, TITLE
from inference.backend.api.batch_formats import CSV_COLUMNS, CSV_TYPE, NDJSON_TYPES
from inference.backend.api.batch_routes import LARGEST_BATCH_BYTES, MOST_HOMES, NOTES_HEADER
from inference.backend.api.explain_schemas import all_components, with_explanation
from inference.backend.api.operator_routes import Drift, Lines, Rows, Window
from inference.backend.api.schemas import PLACE_PARAMETER, VARIANT, VERSION, Schema, reference
from inference.backend.estimate_page import with_page
from inference.backend.runtime.http import FORM_TYPES, JSON_TYPE, LARGEST_BODY_BYTES, PROBLEM_TYPE
from inference.backend.runtime.service_metrics import CONTENT_TYPE as PROMETHEUS_TYPE

API_VERSION = "1.0"
_EXAMPLE = {field.name: str(field.example) for field in INPUTS if field.required}
CSV_EXAMPLE = f"{','.join(_EXAMPLE)}\r\n{','.join(_EXAMPLE.values())}\r\n"

REASONS = {
    400: "The body cannot be read.",
    401: "The API key is missing, wrong, revoked or expired.",
    403: "The API key does not have the scope; with HOMEPRICES_API_KEYS=off, only trusted networks have access.",
    404: "There is no estimate with this id.",
    413: "The body is too large.",
    415: "This media type is not supported.",
    422: "A value is not allowed; `fields` names each.",
    429: "Too many requests, counted by the router: `detail` names the limit, Retry-After says when to try again.",
    500: f"The model has no price for this {ITEM}, or the service failed.",
    503: "A dependency is unavailable; Retry-After says when to try again.",
}

KEY_SCHEME = {
    "type": "http", "scheme": "bearer",
    "description": "An API key, `hp_...`. By default, visitors need none for estimates and feedback, and trusted "
    "networks none at all. A key that is sent must be valid and have the scope.",
}  # fmt: skip


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": API_VERSION,
            "description": f"Estimates of {ITEM} prices in {PRICE_UNIT}, and feedback on them.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {**with_explanation(_for_visitors()), **_for_probes(), **_for_operators(), **_contract()},
        "components": {"schemas": all_components(), "securitySchemes": {"key": KEY_SCHEME}},
    }


def _for_visitors() -> dict[str, Any]:
    home = {media_type: {"schema": reference("Home")} for media_type in (JSON_TYPE, *FORM_TYPES)}
    feedback = {media_type: {"schema": reference("Feedback")} for media_type in (JSON_TYPE, *FORM_TYPES)}
    taken = _answer("FeedbackTaken", "The feedback is recorded.")
    later = _answer("FeedbackTaken", "The feedback is recorded; whether the estimate exists is checked later.")
    return {
        PREDICT_PATH: {
            "post": _operation(
                "predictHomePrice",
                f"Estimate the price of a {ITEM}",
                {200: with_page(_answer("Estimate", "The estimate.", modelled=True))},
                (400, 401, 403, 413, 415, 422, 429, 500, 503),
                scope="predict",
                body=home,
                headers=[PLACE_PARAMETER],
                note=f"At most {LARGEST_BODY_BYTES // 1024} KiB.",
            )
        },
        f"{PREDICT_PATH}/batch": {"post": _batch()},
        "/api/feedback": {
            "post": _operation(
                "giveFeedback",
                "Give feedback on an estimate",
                {200: taken, 202: later},
                (400, 401, 403, 404, 413, 415, 422, 429, 503),
                scope="feedback",
                body=feedback,
                headers=[PLACE_PARAMETER],
                note="A second feedback of the same visitor, estimate and type replaces the first.",
            )
        },
        "/api/get_location_names": {
            "get": _operation(
                "getLocationNames",
                "The locations that the model knows",
                {200: _answer("Locations", "The locations, in alphabetical order.", modelled=True)},
                (401, 403, 429, 503),
                scope="predict",
            )
        },
    }


def _batch() -> dict[str, Any]:
    homes = {"type": "array", "items": reference("Home"), "maxItems": MOST_HOMES}
    lines = {"type": "string", "description": f"One {ITEM} per line, as a JSON object."}
    table = {"type": "string", "description": f"A header with field names of Home, then one {ITEM} per line."}
    rows = {"type": "array", "items": reference("BatchRow"), "maxItems": MOST_HOMES}
    answer = {
        "description": f"One row per {ITEM}, in the order of the request.",
        "headers": {**_headers(modelled=True), NOTES_HEADER: _noted()},
        "content": {
            JSON_TYPE: {"schema": rows},
            NDJSON_TYPES[0]: {"schema": {"type": "string", "description": "One BatchRow per line."}},
            CSV_TYPE: {"schema": {"type": "string", "description": f"Columns: {', '.join(CSV_COLUMNS)}."}},
        },
    }
    body = {
        JSON_TYPE: {"schema": homes},
        NDJSON_TYPES[0]: {"schema": lines},
        CSV_TYPE: {"schema": table, "example": CSV_EXAMPLE},
    }
    return _operation(
        "predictHomePrices",
        f"Estimate the prices of many {ITEMS}",
        {200: answer},
        (400, 401, 403, 413, 415, 422, 429, 500, 503),
        scope="batch",
        body=body,
        note=f"At most {MOST_HOMES:,} {ITEMS} and {LARGEST_BATCH_BYTES // 2**20} MiB. A row that cannot be priced "
        "gets an error, the others get estimates. Batches are not part of an experiment.",
    )


def _for_probes() -> dict[str, Any]:
    yes, no = _answer("Readiness", "Ready."), _answer("Readiness", "Not ready yet.")
    return {
        "/api/health": {
            "get": _operation("getHealth", "State of this instance", {200: _answer("Health", "Alive.")}, (429,))
        },
        "/api/ready": {
            "get": _operation("getReadiness", "Whether this instance can take traffic", {200: yes, 503: no}, ())
        },
    }


def _for_operators() -> dict[str, Any]:
    text = {
        "description": "Metrics in the text format of Prometheus.",
        "headers": _headers(),
        "content": {PROMETHEUS_TYPE: {"schema": {"type": "string"}}},
    }
    return {
        "/metrics": _read("getPrometheusMetrics", "Metrics for Prometheus", text, (401, 403, 429)),
        "/api/metrics": _read(
            "getTraffic",
            "Traffic and feedback of the last hours",
            _answer("Traffic", "By variant."),
            (401, 403, 422, 429, 503),
            Window,
        ),
        "/api/logs": _read(
            "getLogs", "The newest records", _answer("Log", "The records."), (401, 403, 422, 429, 503), Rows
        ),
        "/api/logs/tail": _read(
            "getLogTail", "The last lines of the log", _answer("Tail", "The lines."), (401, 403, 422, 429), Lines
        ),
        "/api/drift_report": _read(
            "getDriftReport",
            "The newest drift report",
            _answer("Drift", "The report."),
            (401, 403, 422, 429, 500, 503),
            Drift,
        ),
    }


def _read(
    name: str, summary: str, answer: dict[str, Any], problems: tuple[int, ...], query: type[BaseModel] | None = None
) -> dict[str, Any]:
    """A path that operators read."""
    return {"get": _operation(name, summary, {200: answer}, problems, scope="operate", query=query)}


def _contract() -> dict[str, Any]:
    this = {
        "description": "OpenAPI 3.1.",
        "headers": _headers(),
        "content": {JSON_TYPE: {"schema": {"type": "object"}}},
    }
    page = {
        "description": "A page without scripts and without assets from other hosts.",
        "headers": _headers(),
        "content": {"text/html; charset=utf-8": {"schema": {"type": "string"}}},
    }
    return {
        "/api/openapi.json": {"get": _operation("getContract", "This document", {200: this}, (429,))},
        "/api/docs": {"get": _operation("readContract", "This document as a page", {200: page}, (429,))},
    }


def _operation(
    name: str,
    summary: str,
    answers: dict[int, Any],
    problems: tuple[int, ...],
    *,
    scope: Scope | None = None,
    body: dict[str, Any] | None = None,
    query: type[BaseModel] | None = None,
    headers: Sequence[dict[str, Any]] = (),
    note: str | None = None,
) -> dict[str, Any]:
    responses = {**{status: _problem(status) for status in problems}, **answers}
    operation: dict[str, Any] = {"operationId": name, "summary": summary}
    if note:
        operation["description"] = note
    if scope:
        operation["security"] = [{}, {"key": [scope]}]
    if query or headers:
        operation["parameters"] = [*(_parameters(query) if query else ()), *headers]
    if body:
        operation["requestBody"] = {"required": True, "content": body}
    operation["responses"] = {str(status): responses[status] for status in sorted(responses)}
    return operation


def _parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    """The query parameters of a pydantic model in `operator_routes`."""
    schema = query.model_json_schema()
    return [
        {"name": name, "in": "query", "required": False, "schema": {k: v for k, v in values.items() if k != "title"}}
        for name, values in schema["properties"].items()
    ]


def _answer(name: str, description: str, *, modelled: bool = False) -> dict[str, Any]:
    content = {JSON_TYPE: {"schema": reference(name)}}
    return {"description": description, "headers": _headers(modelled=modelled), "content": content}


def _problem(status: int) -> dict[str, Any]:
    headers = {"Retry-After": _header({"type": "integer", "minimum": 1}, "seconds")} if status in (429, 503) else {}
    return {
        "description": REASONS[status],
        "headers": {**headers, "X-Request-ID": _header({"type": "string"}, "finds this request in the logs")},
        "content": {PROBLEM_TYPE: {"schema": reference("Problem")}},
    }


def _headers(*, modelled: bool = False) -> dict[str, Any]:
    version = {"X-Model-Version": _trusted_header(VERSION, "the version that answered")} if modelled else {}
    return {
        "X-Request-ID": _header({"type": "string"}, "finds this request in the logs"),
        "X-Variant": _trusted_header(VARIANT, "the variant that answered"),
        **version,
    }


def _noted() -> dict[str, Any]:
    described = "what was found in a table and not said by its sender, such as semicolons between cells"
    return {"description": described, "required": False, "schema": {"type": "string"}}


def _header(schema: Schema, description: str) -> dict[str, Any]:
    return {"description": description, "required": True, "schema": schema}


def _trusted_header(schema: Schema, description: str) -> dict[str, Any]:
    return {"description": f"{description}; trusted networks and keys only", "required": False, "schema": schema}


def text() -> str:
    """The document as JSON text, as it is committed and served."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
