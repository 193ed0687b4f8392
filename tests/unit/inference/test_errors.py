"""The form of every error, and its causes."""

import json
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from inference.backend.runtime.http import LARGEST_BODY_BYTES, PROBLEM_TYPE
from tests.unit.inference.conftest import Backend, Start

HOME: dict[str, Any] = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
PREDICT, FEEDBACK = "/api/predict_home_price", "/api/feedback"
JSON = "application/json"


def assert_problem(answer: TestResponse, status: int) -> dict[str, Any]:
    """Assert that the response is a problem document with one readable line and the request id of the logs."""
    document: dict[str, Any] = json.loads(answer.data)
    assert (answer.status_code, answer.mimetype) == (status, PROBLEM_TYPE), document
    assert document["status"] == status
    assert document["type"].startswith("urn:homeprices:problem:")
    assert document["title"]
    assert document["error"] == document["detail"] != ""
    assert "\n" not in document["error"]
    assert document["request_id"] == answer.headers["X-Request-ID"]
    return document


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"{", JSON, 400),
        (b"", JSON, 400),
        (b"\xff\xfe\xfd", JSON, 400),
        (b"[" * 5000, JSON, 400),
        (b'{"bhk": ' + b"9" * 5000 + b"}", JSON, 400),
        (b"[1]", JSON, 422),
        (b"null", JSON, 422),
        (b"{}", JSON, 422),
        (b'{"total_sqft": NaN}', JSON, 422),
        (b"{}", "application/problem+json", 422),
        (b"bhk=1&bhk=2", "application/x-www-form-urlencoded", 422),
        (b"x", "text/plain", 415),
        (b"x", "", 415),
        (b"x" * (LARGEST_BODY_BYTES + 1), JSON, 413),
        (b"a=" + b"x" * (LARGEST_BODY_BYTES + 1), "application/x-www-form-urlencoded", 413),
    ],
)
@pytest.mark.parametrize("path", [PREDICT, FEEDBACK])
def test_a_body_that_cannot_be_read_is_rejected_with_the_reason(
    backend: Backend, path: str, body: bytes, media_type: str, status: int
) -> None:
    assert_problem(backend.client.post(path, data=body, content_type=media_type), status)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"total_sqft": "large"}, "total_sqft"),
        ({"total_sqft": -1}, "total_sqft"),
        ({"bhk": 2.5}, "bhk"),
        ({"bath": None}, "bath"),
        ({"location": ""}, "location"),
        ({"price": 5}, "price"),
        ({"\ud800": 5}, "body"),
    ],
)
def test_an_invalid_value_is_named(backend: Backend, changes: dict[str, Any], field: str) -> None:
    problem = assert_problem(backend.client.post(PREDICT, json={**HOME, **changes}), 422)
    assert list(problem["fields"]) == [field]


def test_every_wrong_field_is_named_at_once(backend: Backend) -> None:
    problem = assert_problem(backend.client.post(PREDICT, json={"bhk": 0}), 422)
    assert set(problem["fields"]) == {"total_sqft", "location", "bhk", "bath"}


@pytest.mark.parametrize("stars", [0, 6, "lots"])
def test_an_invalid_rating_is_named(backend: Backend, stars: Any) -> None:
    sent = {"prediction_id": 1, "feedback_type": "rating", "feedback_value": stars}
    assert set(assert_problem(backend.client.post(FEEDBACK, json=sent), 422)["fields"]) == {"feedback_value"}


def test_an_unknown_address_and_a_wrong_method_have_different_statuses(backend: Backend) -> None:
    assert_problem(backend.client.get("/api/nothing"), 404)
    answer = backend.client.get(PREDICT)
    assert_problem(answer, 405)
    assert "POST" in answer.headers["Allow"]


def test_feedback_on_an_id_that_was_never_issued_is_rejected(backend: Backend) -> None:
    backend.log.issue = "never_issued"
    answer = backend.client.post(FEEDBACK, json={"prediction_id": 5, "feedback_type": "accurate"})
    assert "5" in assert_problem(answer, 404)["error"]
    assert backend.log.feedback == []


def test_with_a_full_disk_feedback_is_rejected_with_retry_after(backend: Backend) -> None:
    backend.log.full = True
    answer = backend.client.post(FEEDBACK, json={"prediction_id": 5, "feedback_type": "accurate"})
    assert_problem(answer, 503)
    assert answer.headers["Retry-After"] == "30"


def test_an_unavailable_database_is_reported(backend: Backend) -> None:
    for path in ("/api/metrics", "/api/logs", "/api/drift_report"):
        answer = backend.client.get(path)
        assert_problem(answer, 503)
        assert answer.headers["Retry-After"]


def test_an_unexpected_error_shows_the_visitor_only_a_request_id(backend: Backend) -> None:
    app: Flask = backend.app
    del app.extensions["homeprices"]
    problem = assert_problem(app.test_client().get("/api/health"), 500)
    assert "homeprices" not in problem["error"]
    app.extensions["homeprices"] = backend.service


@pytest.mark.parametrize("path", ["/metrics", "/api/metrics", "/api/logs", "/api/logs/tail", "/api/drift_report"])
def test_operator_routes_need_a_key_from_untrusted_networks(backend: Backend, path: str) -> None:
    answer = backend.client.get(path, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert_problem(answer, 401)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/metrics?hours=0", "hours"),
        ("/api/metrics?hours=100000", "hours"),
        ("/api/metrics?hour=1", "hour"),
        ("/api/logs?type=secrets", "type"),
        ("/api/logs?limit=100000", "limit"),
        ("/api/logs/tail?limit=x", "limit"),
        ("/api/drift_report?hours=-1", "hours"),
    ],
)
def test_an_invalid_parameter_is_named(backend: Backend, path: str, field: str) -> None:
    assert set(assert_problem(backend.client.get(path), 422)["fields"]) == {field}


def test_without_a_model_the_response_is_a_problem_document(start: Start) -> None:
    empty = start()
    for answer in (empty.client.post(PREDICT, json=HOME), empty.client.get("/api/get_location_names")):
        assert_problem(answer, 503)
