"""Fast path: plain predictions are answered before Flask's dispatch, which costs more than the prediction itself.

It takes `POST /api/predict_home_price` with a JSON body of known length. Every other request, and every request that
fails, goes to the view with its body restored, so that errors are answered in one place. Both use `PredictionService`,
and a test compares their responses.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import to_json
from werkzeug.exceptions import HTTPException

from homeprices.errors import BundleRefused, HomePricesError
from homeprices.names import PREDICT_PATH
from homeprices.pricing.home import Home
from inference.backend.runtime.app_state import AppState
from inference.backend.runtime.http import JSON_TYPE, LARGEST_BODY_BYTES, read_json
from inference.backend.runtime.micro_batcher import MicroBatcher
from inference.backend.runtime.prediction_service import PredictionRequest, PredictionResponse, shown_to
from inference.backend.runtime.request_context import Caller

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class PlainRequest(NamedTuple):
    """A plain request whose body has been read. `started` is `time.perf_counter()` at its arrival."""

    environ: WSGIEnvironment
    body: bytes
    started: float


class PlainResponse(NamedTuple):
    """The headers and the body of a response with status 200."""

    headers: list[tuple[str, str]]
    body: bytes


def with_fast_path(wsgi: WSGIApplication, state: AppState) -> WSGIApplication:
    """Return the application with plain predictions answered before it, concurrent ones in one micro-batch."""
    has_cors = bool(state.settings.cors_origins)
    in_flight, knows_host = state.metrics.in_flight, state.knows_host
    respond = MicroBatcher(partial(respond_all, state))

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        size = _plain_size(environ)
        if not size or (has_cors and "HTTP_ORIGIN" in environ) or not knows_host(environ.get("HTTP_HOST", "")):
            return wsgi(environ, start_response)
        started = time.perf_counter()
        body = environ["wsgi.input"].read(size)
        in_flight.inc()
        try:
            response = respond(PlainRequest(environ, body, started))
        except Exception:
            response = None  # one request must not fail the others: the view retries each alone and answers the error
        finally:
            in_flight.dec()
        if response is None:
            environ["wsgi.input"] = io.BytesIO(body)
            return wsgi(environ, start_response)
        start_response("200 OK", response.headers)
        return (response.body,)

    return call


def respond_all(state: AppState, plain: Sequence[PlainRequest]) -> list[PlainResponse | None]:
    """Return a response for each request, in order; None for a request that the view has to answer. Raises NoModel."""
    requests = [_parse(state, one) for one in plain]
    predictions = iter(state.predictions.predict([request for request in requests if request]))
    return [_respond(state, request.caller, next(predictions)) if request else None for request in requests]


def _parse(state: AppState, plain: PlainRequest) -> PredictionRequest | None:
    caller = state.caller_of(plain.environ)
    try:
        home = Home.parse(read_json(plain.body))
        caller.require_stated_place(home.place)
    except (HomePricesError, HTTPException):
        return None
    return PredictionRequest(caller, home, plain.started) if state.access.permits(caller, "predict") else None


def _respond(state: AppState, caller: Caller, prediction: PredictionResponse | BundleRefused) -> PlainResponse | None:
    if isinstance(prediction, BundleRefused):
        return None
    body = to_json(shown_to(caller, prediction))
    headers = [
        ("Content-Type", JSON_TYPE),
        ("Content-Length", str(len(body))),
        ("X-Request-ID", caller.request_id),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if caller.key is not None:
        headers.append(("X-Key-Id", caller.key))
    if caller.trusted or caller.unblinded:  # the router logs both and hides them from visitors
        headers += [("X-Variant", state.settings.variant), ("X-Model-Version", prediction["model_version"])]
    if signature := state.cookie_signature(caller):
        headers.append(("X-Visitor-Signature", signature))
    return PlainResponse(headers, body)


def _plain_size(environ: WSGIEnvironment) -> int:
    """Return the length of a plain request's body; 0 for every other request."""
    if (
        environ["PATH_INFO"] != PREDICT_PATH
        or environ["REQUEST_METHOD"] != "POST"
        or environ.get("CONTENT_TYPE") != JSON_TYPE
        or "HTTP_TRANSFER_ENCODING" in environ
        or environ.get("QUERY_STRING")
    ):
        return 0
    length = environ.get("CONTENT_LENGTH", "")
    if not (length.isascii() and length.isdecimal() and len(length) <= len(str(LARGEST_BODY_BYTES))):
        return 0
    size = int(length)
    return size if size <= LARGEST_BODY_BYTES else 0
