"""The application: `gunicorn -c inference/backend/gunicorn.conf.py 'inference.backend.inference_api:create_app()'`."""

from __future__ import annotations

import gc
import json
import time
from typing import Any

from flask import Flask, Response, g, request
from flask.json.provider import JSONProvider
from pydantic_core import to_json

from homeprices.log import configure_logging
from homeprices.settings import load_settings
from inference.backend.api import batch_routes, operator_routes, visitor_routes
from inference.backend.api.fast_path import with_fast_path
from inference.backend.runtime.app_state import EXTENSION, AppState, open_app_state
from inference.backend.runtime.http import LARGEST_BODY_BYTES, allow_origins, answer_errors
from inference.backend.runtime.process import log_fields, release_free_memory, write_log_tail


def create_app(service: AppState | None = None) -> Flask:
    """The application of one worker. Without a `service`, one is opened from the environment and started."""
    if service is None:
        settings = load_settings()
        configure_logging(settings, settings.instance, log_fields(settings.variant))
        write_log_tail(settings.instance_dir / "logs")
        service = open_app_state(settings)
        service.start()
        release_free_memory()  # what the start alone needed
        gc.freeze()  # modules and model stay; to search them for garbage again and again costs a batch a quarter
    app = Flask(__name__, static_folder=None)
    app.json = JsonAnswers(app)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    app.extensions[EXTENSION] = service
    for module in (visitor_routes, batch_routes, operator_routes):
        app.register_blueprint(module.blueprint)
    _frame_requests(app, service)
    allow_origins(app, service.settings)
    answer_errors(app)
    app.wsgi_app = with_fast_path(app.wsgi_app, service)  # type: ignore[method-assign, assignment]
    return app


def _frame_requests(app: Flask, service: AppState) -> None:
    """Before each request: who asks, and since when. After it: who answered."""

    variant = service.settings.variant

    @app.before_request
    def begin() -> None:
        frame = g._get_current_object()  # each look through the proxy costs as much as a small view
        frame.started = time.perf_counter()
        frame.caller = caller = service.caller_of(request.environ)
        frame.request_id = caller.request_id
        service.metrics.in_flight.inc()

    @app.after_request
    def sign(response: Response) -> Response:
        frame, headers = g._get_current_object(), response.headers
        headers.add("X-Variant", variant)
        headers.add("X-Request-ID", frame.request_id)
        if frame.caller.signature:
            headers.add("X-Visitor-Signature", frame.caller.signature)
        if "model_version" in frame:
            headers.add("X-Model-Version", frame.model_version)
        # gunicorn discards an unread body after the answer, and with it a request that the client has sent meanwhile,
        # which then hangs. So nothing is left unread; of a body over the limit it closes the connection itself.
        request.environ["wsgi.input"].read(LARGEST_BODY_BYTES)
        return response

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        service.metrics.in_flight.dec()


# JSON as the service writes it: by pydantic's encoder, which takes a tenth of the time of the standard library's.


MEDIA_TYPE = "application/json"


class JsonAnswers(JSONProvider):
    """What Flask makes JSON answers with: UTF-8, no spaces, members in the order in which the view named them."""

    def dumps(self, obj: Any, **options: Any) -> str:
        return json.dumps(obj, **options)

    def loads(self, s: str | bytes, **options: Any) -> Any:
        return json.loads(s, **options)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(to_json(self._prepare_response_obj(args, kwargs)), mimetype=MEDIA_TYPE)
