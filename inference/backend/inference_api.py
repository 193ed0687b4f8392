"""The Flask application of the inference service.

gunicorn starts it: `gunicorn -c inference/backend/gunicorn.conf.py 'inference.backend.inference_api:create_app()'`.
"""

from __future__ import annotations

import gc
import json
import time
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, request
from flask.json.provider import JSONProvider
from pydantic_core import to_json

from homeprices.log import configure_logging
from homeprices.settings import load_settings
from inference.backend.api import batch_routes, explain_routes, operator_routes, visitor_routes
from inference.backend.api.fast_path import with_fast_path
from inference.backend.estimate_page import in_place_of_problem
from inference.backend.runtime.access import refuse_key_in_query, scope_of
from inference.backend.runtime.app_state import EXTENSION, AppState, open_app_state
from inference.backend.runtime.http import (
    JSON_TYPE,
    LARGEST_BODY_BYTES,
    MisdirectedRequest,
    allow_origins,
    answer_errors,
)
from inference.backend.runtime.process import log_fields, release_free_memory, write_log_tail


def create_app(state: AppState | None = None) -> Flask:
    """Return the application of one worker. Without a `state`, open one from the environment and start it."""
    state = state or _start_worker()
    app = Flask(__name__, static_folder=None)
    app.json = PydanticJSONProvider(app)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    app.extensions[EXTENSION] = state
    for module in (visitor_routes, explain_routes, batch_routes, operator_routes):
        app.register_blueprint(module.blueprint)
    _add_request_hooks(app, state)
    allow_origins(app, state.settings)
    answer_errors(app)
    app.after_request(in_place_of_problem)
    app.wsgi_app = with_fast_path(app.wsgi_app, state)  # type: ignore[method-assign, assignment]
    return app


def _start_worker() -> AppState:
    settings = load_settings()
    configure_logging(settings, settings.instance, log_fields(settings.variant))
    write_log_tail(settings.instance_dir / "logs")
    state = open_app_state(settings)
    state.start()
    release_free_memory()  # memory that only the start needed
    gc.freeze()  # modules and model stay: scanning them in every collection costs a batch a quarter
    return state


def _add_request_hooks(app: Flask, state: AppState) -> None:
    """Before each request, identify the caller and start the clock. After it, add the headers of the project."""

    variant = state.settings.variant

    @app.before_request
    def begin() -> None:
        context = g._get_current_object()  # each access through the proxy costs as much as a small view
        context.started = time.perf_counter()
        context.caller = caller = state.caller_of(request.environ)
        context.request_id = caller.request_id
        state.metrics.in_flight.inc()
        if not state.knows_host(request.environ.get("HTTP_HOST", "")):
            raise MisdirectedRequest
        refuse_key_in_query(request.environ.get("QUERY_STRING", ""))
        scope = scope_of(request.endpoint)
        if scope is not None and request.method != "OPTIONS":  # a browser's preflight carries no key
            state.access.require(caller, scope)

    @app.after_request
    def add_headers(response: Response) -> Response:
        context, headers = g._get_current_object(), response.headers
        headers.add("X-Request-ID", context.request_id)
        headers.setdefault("X-Content-Type-Options", "nosniff")
        caller = context.caller
        if caller.key is not None:  # so that the router knows that the key is valid
            headers.add("X-Key-Id", caller.key)
        if caller.trusted or caller.unblinded:  # the router logs both and hides them from visitors
            headers.add("X-Variant", variant)
            if "model_version" in context:
                headers.add("X-Model-Version", context.model_version)
        # An error gives no cookie: a client could collect cookies that have no record in the log.
        if response.status_code < HTTPStatus.BAD_REQUEST and (signature := state.cookie_signature(caller)):
            headers.add("X-Visitor-Signature", signature)
        # Read the whole body. gunicorn discards an unread body after the response, and with it a request that the
        # client has sent meanwhile, which then hangs. If a body exceeds the limit, gunicorn closes the connection.
        request.environ["wsgi.input"].read(LARGEST_BODY_BYTES)
        return response

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        state.metrics.in_flight.dec()


class PydanticJSONProvider(JSONProvider):
    """Flask's JSON responses by pydantic's encoder, which takes a tenth of the time of the standard library's.

    UTF-8, no spaces, members in the order of the view.
    """

    def dumps(self, obj: Any, **options: Any) -> str:
        return json.dumps(obj, **options)

    def loads(self, s: str | bytes, **options: Any) -> Any:
        return json.loads(s, **options)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(to_json(self._prepare_response_obj(args, kwargs)), mimetype=JSON_TYPE)
