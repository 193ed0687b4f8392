"""Every error is answered here, as a problem document (RFC 9457) that also carries `error`, one readable line."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from homeprices.errors import HomePricesError, InvalidInput, Unavailable
from homeprices.log import get_logger

log = get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

# Werkzeug's sentences speak to programmers; these say what is allowed.
_SENTENCES = {
    HTTPStatus.NOT_FOUND: "there is nothing at this address",
    HTTPStatus.METHOD_NOT_ALLOWED: "this method is not allowed here; Allow names those that are",
}


def problem(status: int, title: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> Response:
    """A problem document. `members` stand beside the standard ones."""
    document = {
        "type": "urn:homeprices:problem:" + re.sub(r"[^a-z]+", "-", title.lower()),
        "title": title,
        "status": status,
        "detail": detail,
        "error": detail,
        "request_id": g.get("request_id"),
        **members,
    }
    return Response(json.dumps(document), status, headers, mimetype=MEDIA_TYPE)


def answer_errors(app: Flask) -> None:
    """Have every error of `app` answered as a problem document."""
    app.register_error_handler(HomePricesError, _named)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _named(error: HomePricesError) -> Response:
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, Unavailable) else {}
    members = {"fields": error.fields} if isinstance(error, InvalidInput) else {}
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request_failed", error=type(error).__name__, reason=error.detail, request_id=g.get("request_id"))
    return problem(error.status, error.title, error.detail, headers=headers, **members)


def _http(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        error.description = f"the body is larger than {(request.max_content_length or 0) // 1024:,} KiB"
    detail = _SENTENCES.get(status) or error.description or status.phrase
    allow = {name: value for name, value in error.get_headers() if name == "Allow"}
    return problem(status, status.phrase.capitalize(), detail, headers=allow)


def _unexpected(error: Exception) -> Response:
    log.error("request_failed", error=type(error).__name__, exc_info=error, request_id=g.get("request_id"))
    detail = "something went wrong in this service; the request id finds it in the log"
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, HomePricesError.title, detail)
