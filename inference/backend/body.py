"""The fields of a request, from JSON or from a form."""

from __future__ import annotations

import json
from typing import Any

from flask import Request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from homeprices.errors import InvalidInput

LARGEST_BODY_BYTES = 64 * 1024  # the router's limit as well; a batch has its own

JSON_TYPE = "application/json"
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


def read_fields(request: Request) -> dict[str, Any]:
    """The fields by name. Raises UnsupportedMediaType, BadRequest, RequestEntityTooLarge, InvalidInput."""
    if request.content_type == JSON_TYPE or request.mimetype == JSON_TYPE or request.mimetype.endswith("+json"):
        return read_json(request.get_data(cache=False))
    if request.mimetype in FORM_TYPES:
        return _from_form(request)
    sent = request.mimetype or "no media type"
    raise UnsupportedMediaType(f"{sent} is not read here; send {JSON_TYPE} or a form ({FORM_TYPES[0]})")


def read_json(body: bytes) -> dict[str, Any]:
    """The members of a JSON object. Raises BadRequest, InvalidInput."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {str(error) or 'it is nested too deeply'}") from error
    if not isinstance(fields, dict):
        raise InvalidInput({"body": "must be a JSON object"})
    return fields


def _from_form(request: Request) -> dict[str, Any]:
    repeated = {name: "is given more than once" for name, values in request.form.lists() if len(values) > 1}
    if repeated:
        raise InvalidInput(repeated)
    return request.form.to_dict()
