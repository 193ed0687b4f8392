"""The plain case of an estimate without Flask's dispatch, which costs more than everything that an estimate needs.

Takes `POST /api/predict_home_price` with a JSON body of known length. Whatever is not that plain, and whatever goes
wrong on the way, is left to the view, with the body put back: there is one place that answers errors. Both call
`predict.answer`, and a test compares what they say.
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
from inference.backend.runtime.prediction_service import PredictionRequest, PredictionResponse
from inference.backend.runtime.request_context import Caller

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class _Arrived(NamedTuple):
    """A plain request whose body has been read. `started` is `time.perf_counter()` when it came."""

    environ: WSGIEnvironment
    body: bytes
    started: float


class _Reply(NamedTuple):
    headers: list[tuple[str, str]]
    body: bytes


def with_fast_path(wsgi: WSGIApplication, service: AppState) -> WSGIApplication:
    """The application, with plain requests for an estimate answered before it, together those that come together."""
    answers_origins = bool(service.settings.cors_origins)
    in_flight = service.metrics.in_flight
    reply_to = MicroBatcher(partial(_replies, service))

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        size = _plain_size(environ)
        if not size or (answers_origins and "HTTP_ORIGIN" in environ):
            return wsgi(environ, start_response)
        started = time.perf_counter()
        sent = environ["wsgi.input"].read(size)
        in_flight.inc()
        try:
            reply = reply_to(_Arrived(environ, sent, started))
        except Exception:
            reply = None  # the fault of one must not be that of the others: the view tries each alone, and reports it
        finally:
            in_flight.dec()
        if reply is None:
            environ["wsgi.input"] = io.BytesIO(sent)
            return wsgi(environ, start_response)
        start_response("200 OK", reply.headers)
        return (reply.body,)

    return call


def _replies(service: AppState, arrived: Sequence[_Arrived]) -> list[_Reply | None]:
    """A reply for each request, in order; None for one that is better left to the view. Raises NoModel."""
    questions = [_question(service, one) for one in arrived]
    given = iter(service.answers.predict([question for question in questions if question]))
    variant = service.settings.variant
    return [_reply(variant, question.caller, next(given)) if question else None for question in questions]


def _question(service: AppState, arrived: _Arrived) -> PredictionRequest | None:
    try:
        home = Home.parse(read_json(arrived.body))
    except (HomePricesError, HTTPException):
        return None
    return PredictionRequest(service.caller_of(arrived.environ), home, arrived.started)


def _reply(variant: str, caller: Caller, answer: PredictionResponse | BundleRefused) -> _Reply | None:
    if isinstance(answer, BundleRefused):
        return None
    body = to_json(answer)
    headers = [
        ("Content-Type", JSON_TYPE),
        ("Content-Length", str(len(body))),
        ("X-Variant", variant),
        ("X-Request-ID", caller.request_id),
        ("X-Model-Version", answer["model_version"]),
    ]
    if caller.signature:
        headers.append(("X-Visitor-Signature", caller.signature))
    return _Reply(headers, body)


def _plain_size(environ: WSGIEnvironment) -> int:
    """The length of a plain request's body; 0 for every other request."""
    if (
        environ["PATH_INFO"] != PREDICT_PATH
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
