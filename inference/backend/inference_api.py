"""The application: `gunicorn -c inference/backend/gunicorn.conf.py 'inference.backend.inference_api:create_app()'`."""

from __future__ import annotations

import gc
import time

from flask import Flask, Response, g, request

from homeprices.log import configure_logging
from homeprices.settings import load_settings
from inference.backend import batch, contract, feedback, health, operations, predict
from inference.backend.body import LARGEST_BODY_BYTES
from inference.backend.cors import allow_origins
from inference.backend.fast_lane import put_before
from inference.backend.json_answers import JsonAnswers
from inference.backend.log_fields import fields_of
from inference.backend.log_tail import keep_tail
from inference.backend.memory import give_back
from inference.backend.problem import answer_errors
from inference.backend.service import EXTENSION, Service, open_service


def create_app(service: Service | None = None) -> Flask:
    """The application of one worker. Without a `service`, one is opened from the environment and started."""
    if service is None:
        settings = load_settings()
        configure_logging(settings, settings.instance, fields_of(settings.variant))
        keep_tail(settings.instance_dir / "logs")
        service = open_service(settings)
        service.start()
        give_back()  # what the start alone needed
        gc.freeze()  # modules and model stay; to search them for garbage again and again costs a batch a quarter
    app = Flask(__name__, static_folder=None)
    app.json = JsonAnswers(app)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    app.extensions[EXTENSION] = service
    for module in (predict, batch, feedback, health, operations, contract):
        app.register_blueprint(module.blueprint)
    _frame_requests(app, service)
    allow_origins(app, service.settings)
    answer_errors(app)
    app.wsgi_app = put_before(app.wsgi_app, service)  # type: ignore[method-assign, assignment]
    return app


def _frame_requests(app: Flask, service: Service) -> None:
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
