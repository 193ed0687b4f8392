"""Request bodies, problem documents (RFC 9457) and cross-origin requests.

Every error is turned into a response here: a problem document that also carries `error`, one readable line.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

from flask import Flask, Request, Response, g, request
from werkzeug.exceptions import BadRequest, HTTPException, UnsupportedMediaType

from homeprices.errors import HomePricesError, InvalidInput, SettingsError, Unavailable
from homeprices.foreign_text import printable
from homeprices.log import get_logger
from homeprices.names import PLACE_HEADER
from homeprices.settings import Settings
from homeprices.tables.json_rows import json_object

LARGEST_BODY_BYTES = 64 * 1024  # the router's limit as well; a batch has its own limit
JSON_TYPE = "application/json"
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
PROBLEM_TYPE = "application/problem+json"
PREFLIGHT_SECONDS = "600"

# In place of Werkzeug's texts, which are written for the programmers of the service.
_DETAILS = {
    HTTPStatus.NOT_FOUND: "there is nothing at this address",
    HTTPStatus.METHOD_NOT_ALLOWED: "this method is not allowed here; Allow names those that are",
}

log = get_logger(__name__)


class MisdirectedRequest(HTTPException):
    """The Host header names another server."""

    code = HTTPStatus.MISDIRECTED_REQUEST
    description = "this server does not answer for this host name; HOMEPRICES_HOSTS names those that it answers for"


def read_fields(request: Request) -> dict[str, Any]:
    """Return the fields of a JSON object or a form by name.

    Raises UnsupportedMediaType, BadRequest, RequestEntityTooLarge, InvalidInput.
    """
    if request.content_type == JSON_TYPE or request.mimetype == JSON_TYPE or request.mimetype.endswith("+json"):
        return read_json(request.get_data(cache=False))
    if request.mimetype in FORM_TYPES:
        return _read_form(request)
    media_type = printable(request.mimetype) or "no media type"
    raise UnsupportedMediaType(f"{media_type} is not read here; send {JSON_TYPE} or a form ({FORM_TYPES[0]})")


def read_json(body: bytes) -> dict[str, Any]:
    """Return the members of a JSON object. Raises BadRequest, and InvalidInput for a member that is given twice."""
    try:
        fields = json_object(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {str(error) or 'it is nested too deeply'}") from error
    if not isinstance(fields, dict):
        raise InvalidInput({"body": "must be a JSON object"})
    return fields


def _read_form(request: Request) -> dict[str, Any]:
    repeated = {name: "is given more than once" for name, values in request.form.lists() if len(values) > 1}
    if repeated:
        raise InvalidInput(repeated)
    return request.form.to_dict()


def problem(status: int, title: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> Response:
    """Return a problem document. `members` are added to the standard ones."""
    document = {
        "type": "urn:homeprices:problem:" + re.sub(r"[^a-z]+", "-", title.lower()),
        "title": title,
        "status": status,
        "detail": detail,
        "error": detail,
        "request_id": g.get("request_id"),
        **members,
    }
    return Response(json.dumps(document), status, headers, mimetype=PROBLEM_TYPE)


def answer_errors(app: Flask) -> None:
    """Turn every error of `app` into a problem document."""
    app.register_error_handler(HomePricesError, _answer_project_error)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_unexpected_error)


def _answer_project_error(error: HomePricesError) -> Response:
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, Unavailable) else {}
    members = {"fields": error.fields} if isinstance(error, InvalidInput) else {}
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request_failed", error=type(error).__name__, reason=error.detail, request_id=g.get("request_id"))
    return problem(error.status, error.title, error.detail, headers=headers, **members)


def _answer_http_error(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        error.description = f"the body is larger than {(request.max_content_length or 0) // 1024:,} KiB"
    detail = _DETAILS.get(status) or error.description or status.phrase
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "WWW-Authenticate")}
    return problem(status, status.phrase.capitalize(), detail, headers=headers)


def _answer_unexpected_error(error: Exception) -> Response:
    log.error("request_failed", error=type(error).__name__, exc_info=error, request_id=g.get("request_id"))
    detail = "something went wrong in this service; the request id finds it in the log"
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, HomePricesError.title, detail)


def allow_origins(app: Flask, settings: Settings) -> None:
    """Allow the origins in `HOMEPRICES_CORS_ORIGINS` (CORS protocol of the Fetch standard).

    Raises SettingsError for a value that is not an origin.
    """
    allowed = frozenset(origin.strip() for origin in settings.cors_origins.split(",") if origin.strip())
    for origin in allowed:
        if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
            raise SettingsError(f"HOMEPRICES_CORS_ORIGINS: {origin} is no origin such as https://example.org")
    if not allowed:
        return

    @app.after_request
    def allow(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin not in allowed:
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "X-Variant, X-Model-Version, X-Request-ID, Retry-After"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = f"Content-Type, {PLACE_HEADER}"
            response.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
        return response
