"""The plain case of an estimate without Flask's dispatch, which costs more than everything that an estimate needs.

Takes `POST /api/predict_home_price` with a JSON body of known length. Whatever is not that plain, and whatever goes
wrong on the way, is left to the view, with the body put back: there is one place that answers errors. Both call
`predict.answer`, and a test compares what they say.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic_core import to_json
from werkzeug.exceptions import HTTPException

from homeprices.errors import HomePricesError
from homeprices.pricing.home import Home
from inference.backend.body import JSON_TYPE, LARGEST_BODY_BYTES, read_json
from inference.backend.predict import PATH, answer
from inference.backend.service import Service

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def put_before(wsgi: WSGIApplication, service: Service) -> WSGIApplication:
    """The application, with plain requests for an estimate answered before it."""
    variant = ("X-Variant", service.settings.variant)
    answers_origins = bool(service.settings.cors_origins)
    in_flight = service.metrics.in_flight

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        size = _plain_size(environ)
        if not size or (answers_origins and "HTTP_ORIGIN" in environ):
            return wsgi(environ, start_response)
        started = time.perf_counter()
        sent = environ["wsgi.input"].read(size)
        in_flight.inc()
        try:
            caller = service.caller_of(environ)
            given = answer(service, caller, Home.parse(read_json(sent)), started)
        except (HomePricesError, HTTPException):
            given = None
        finally:
            in_flight.dec()
        if given is None:
            environ["wsgi.input"] = io.BytesIO(sent)
            return wsgi(environ, start_response)
        body = to_json(given)
        headers = [
            ("Content-Type", JSON_TYPE),
            ("Content-Length", str(len(body))),
            variant,
            ("X-Request-ID", caller.request_id),
            ("X-Model-Version", given["model_version"]),
        ]
        if caller.signature:
            headers.append(("X-Visitor-Signature", caller.signature))
        start_response("200 OK", headers)
        return (body,)

    return call


def _plain_size(environ: WSGIEnvironment) -> int:
    """The length of a plain request's body; 0 for every other request."""
    if (
        environ["PATH_INFO"] != PATH
        or environ["REQUEST_METHOD"] != "POST"
        or environ.get("CONTENT_TYPE") != JSON_TYPE
        or "HTTP_TRANSFER_ENCODING" in environ
    ):
        return 0
    length = environ.get("CONTENT_LENGTH", "")
    if not (length.isascii() and length.isdecimal() and len(length) <= len(str(LARGEST_BODY_BYTES))):
        return 0
    size = int(length)
    return size if size <= LARGEST_BODY_BYTES else 0
