"""The fast path responds as the view does, and leaves all other requests to the view."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from werkzeug.test import TestResponse

from homeprices.errors import BundleRefused
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Estimate
from inference.backend.api.fast_path import PlainRequest, respond_all
from inference.backend.runtime.prediction_service import PredictionRequest, PredictionResponse
from tests.unit.inference.conftest import Backend, Start

PATH = "/api/predict_home_price"
HOME: dict[str, Any] = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
FROM_ROUTER = {"X-Visitor-Id": "v", "X-Assigned-Variant": "candidate", "X-Experiment-Epoch": "3", "X-Request-ID": "t-1",
               "X-Variant-Fallback": "1", "X-Visitor-Key": "k"}  # fmt: skip
BY_THE_VIEW = "application/json; charset=utf-8"  # which the fast path does not handle


def ask(backend: Backend, media_type: str, home: dict[str, Any], **more: Any) -> TestResponse:
    return backend.client.post(PATH, data=json.dumps(home), content_type=media_type, **more)


@pytest.mark.parametrize("home", [HOME, {**HOME, "location": "Atlantis", "balcony": 1}, {**HOME, "bhk": 0}, {}])
@pytest.mark.parametrize("headers", [{}, FROM_ROUTER])
def test_it_responds_and_logs_as_the_view_does(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, home: dict[str, Any], headers: dict[str, str]
) -> None:
    monkeypatch.setattr("inference.backend.runtime.request_context._new_request_id", lambda: "made")
    fast, view = (ask(backend, media_type, home, headers=headers) for media_type in ("application/json", BY_THE_VIEW))
    said = [{**answer.get_json(), "prediction_id": 0, "response_time_ms": 0} for answer in (fast, view)]
    assert said[0] == said[1]
    assert (fast.status_code, dict(fast.headers) | {"Content-Length": 0}) == (
        view.status_code, dict(view.headers) | {"Content-Length": 0},
    )  # fmt: skip
    logged = [{**vars(one), "milliseconds": 0} for one in backend.log.predictions]
    assert logged == [] if fast.status_code != 200 else logged[0] == logged[1]


def test_a_plain_request_does_not_reach_flask(backend: Backend) -> None:
    reached: list[str] = []
    backend.app.before_request_funcs.setdefault(None, []).append(lambda: reached.append("view"))
    assert ask(backend, "application/json", HOME).status_code == 200
    assert reached == []
    assert ask(backend, BY_THE_VIEW, HOME).status_code == 200
    assert reached == ["view"]


@pytest.mark.parametrize("length", ["", "x", "-1", "99999999999", "0"])
def test_a_length_that_is_not_plain_is_left_to_the_view(backend: Backend, length: str) -> None:
    answer = ask(backend, "application/json", HOME, environ_overrides={"CONTENT_LENGTH": length})
    assert answer.status_code in (400, 413)


def test_a_chunked_body_is_left_to_the_view(backend: Backend) -> None:
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}  # as gunicorn says it
    answer = ask(backend, "application/json", HOME, environ_overrides=chunked)
    assert answer.status_code == 200


def test_origins_are_answered_by_the_view_where_some_are_allowed(start: Start) -> None:
    backend = start(HOMEPRICES_CORS_ORIGINS="https://example.org")
    backend.publish("BO1")
    answer = ask(backend, "application/json", HOME, headers={"Origin": "https://example.org"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://example.org"
    assert "Origin" in answer.headers["Vary"]


def test_an_error_is_counted_once_and_leaves_nothing_in_flight(backend: Backend) -> None:
    assert ask(backend, "application/json", {**HOME, "bhk": 0}).status_code == 422
    assert backend.metric("prediction_errors_total", reason="invalid") == 1
    assert backend.metric("requests_in_flight") == 0


def test_concurrent_requests_get_their_own_responses_and_one_error_affects_only_its_request(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among valid homes: one that the model has no price for, and a body that is not a home."""
    homes = [{**HOME, "total_sqft": 1000 + 100 * n} for n in range(4)]
    alone = [ask(backend, "application/json", home).get_json()["estimated_price"] for home in homes]
    model = backend.service.live.current()
    whole = model.estimate

    def estimate(asked: Sequence[Home]) -> list[Estimate]:
        if any(home.total_sqft == 1100 for home in asked):
            raise BundleRefused("no price for one of them", "answers")
        return whole(asked)

    monkeypatch.setattr(model, "estimate", estimate)
    backend.log.predictions.clear()
    bodies = [json.dumps(home).encode() for home in [*homes, {**HOME, "bhk": 0}]]
    environs = [{"REMOTE_ADDR": "127.0.0.1", "HTTP_X_REQUEST_ID": f"t-{n}"} for n in range(5)]
    arrived = [PlainRequest(environ, body, 0.0) for environ, body in zip(environs, bodies, strict=True)]
    replies = respond_all(backend.service, arrived)
    assert [reply is not None for reply in replies] == [True, False, True, True, False]
    given = [(json.loads(reply.body), dict(reply.headers)["X-Request-ID"]) for reply in replies if reply]
    assert [(answer["estimated_price"], trace) for answer, trace in given] == [
        (alone[0], "t-0"), (alone[2], "t-2"), (alone[3], "t-3"),
    ]  # fmt: skip
    logged = {(number + 1, one.request_id, one.estimate) for number, one in enumerate(backend.log.predictions)}
    assert logged == {(answer["prediction_id"], trace, answer["estimated_price"]) for answer, trace in given}


def test_after_an_unexpected_error_the_view_answers_each_request_alone(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, batches = backend.service.predictions.predict, []

    def failing_once(requests: Sequence[PredictionRequest]) -> list[PredictionResponse | BundleRefused]:
        batches.append(len(requests))
        if len(batches) == 1:
            raise RuntimeError("a mistake of ours")
        return predict(requests)

    monkeypatch.setattr(backend.service.predictions, "predict", failing_once)
    answer = ask(backend, "application/json", HOME)
    assert (answer.status_code, batches, len(backend.log.predictions)) == (200, [1, 1], 1)
    assert backend.metric("requests_in_flight") == 0


@pytest.mark.parametrize("media_type", ["application/json", BY_THE_VIEW])
def test_a_home_elsewhere_than_stated_gets_no_price_and_leaves_no_record(backend: Backend, media_type: str) -> None:
    in_trial = {**FROM_ROUTER, "X-Experiment-Place": "whitefield"}
    assert ask(backend, media_type, HOME, headers=in_trial).status_code == 200
    refused = ask(backend, media_type, {**HOME, "location": "Indira Nagar"}, headers=in_trial)
    assert (refused.status_code, list(refused.get_json()["fields"])) == (422, ["location"])
    assert [one.inputs["location"] for one in backend.log.predictions] == ["Whitefield"]
