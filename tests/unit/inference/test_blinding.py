"""What a visitor gets to know: neither the variant nor the version that answered, and no cookie with an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.unit.inference.conftest import Backend, Start

HOME = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
PREDICT, BATCH, FEEDBACK = "/api/predict_home_price", "/api/predict_home_price/batch", "/api/feedback"
NAMES = ("BO1", "production", "candidate", "variant", "model_version")
THROUGH_ROUTER = {"X-Forwarded-For": "203.0.113.9"}
NEW = {"X-Visitor-Id": "ab" * 16, "X-Visitor-New": "1", "X-Visitor-Key": "key of the router"}

Asked = tuple[str, str, dict[str, Any]]
VISITOR_ASKS: list[Asked] = [
    ("POST", PREDICT, {"json": HOME}),
    ("POST", PREDICT, {"data": HOME}),
    ("POST", BATCH, {"json": [HOME, {}]}),
    ("POST", BATCH, {"data": json.dumps(HOME), "content_type": "application/x-ndjson"}),
    ("POST", FEEDBACK, {"json": {"prediction_id": 1, "feedback_type": "accurate"}}),
    ("GET", "/api/get_location_names", {}),
    ("GET", "/api/health", {}),
    ("GET", "/api/ready", {}),
    ("POST", PREDICT, {"json": {}}),
    ("POST", PREDICT, {"data": "{", "content_type": "application/json"}),
    ("POST", BATCH, {"json": {}}),
    ("POST", FEEDBACK, {"json": {}}),
    ("GET", PREDICT, {}),
    ("GET", "/api/nothing", {}),
    ("GET", "/api/metrics", {}),
    ("POST", "/api/explain", {"json": HOME}),
    ("POST", "/api/explain", {"data": HOME}),
    ("POST", "/api/explain", {"json": {}}),
]


def ask(backend: Backend, asked: Asked, address: str = "127.0.0.1", **headers: str) -> TestResponse:
    method, path, more = asked
    return backend.client.open(path, method=method, headers=headers, environ_overrides={"REMOTE_ADDR": address}, **more)


@pytest.mark.parametrize("asked", VISITOR_ASKS, ids=lambda asked: f"{asked[0]} {asked[1]} {list(asked[2])}")
def test_no_answer_to_a_visitor_names_variant_or_version(backend: Backend, asked: Asked) -> None:
    direct = ask(backend, asked, "203.0.113.9")
    assert not {"X-Variant", "X-Model-Version"} & {*direct.headers.keys()}
    routed = ask(backend, asked, **THROUGH_ROUTER)  # whose headers the router hides
    for answer in (direct, routed):
        assert [name for name in NAMES if name in answer.text] == []


def test_a_visitors_table_names_neither(start: Start) -> None:
    backend = start(HOMEPRICES_VISITOR_KEY="key", HOMEPRICES_API_KEYS="off")
    backend.publish("BO1")
    table = "total_sqft,location,bhk,bath\n1200,Whitefield,2,2\n"
    answer = ask(backend, ("POST", BATCH, {"data": table, "content_type": "text/csv"}), **THROUGH_ROUTER)
    assert answer.text.splitlines()[1].endswith(",true,,,")


def test_trusted_networks_see_both(backend: Backend) -> None:
    for asked in (*VISITOR_ASKS[:4], ("POST", "/api/explain", {"json": HOME})):
        answer = ask(backend, asked)
        assert (answer.headers["X-Variant"], answer.headers["X-Model-Version"]) == ("production", "BO1")
        assert '"variant":"production","model_version":"BO1"' in answer.text
    assert {"variant", "model_version", "workers"} <= {*ask(backend, ("GET", "/api/health", {})).get_json()}


def test_health_is_short_for_visitors(backend: Backend) -> None:
    answer = ask(backend, ("GET", "/api/health", {}), **THROUGH_ROUTER).get_json()
    assert (set(answer), answer["status"]) == ({"status", "time", "version"}, "healthy")


@pytest.mark.parametrize("asked", VISITOR_ASKS, ids=lambda asked: f"{asked[0]} {asked[1]} {list(asked[2])}")
def test_only_an_answer_without_an_error_has_a_cookies_signature(backend: Backend, asked: Asked) -> None:
    answer = ask(backend, asked, **THROUGH_ROUTER, **NEW)
    assert ("X-Visitor-Signature" in answer.headers) == (answer.status_code < 400)


def test_a_network_gets_a_number_of_cookies_an_hour_and_answers_without_one_after_it(backend: Backend) -> None:
    predict = VISITOR_ASKS[0]

    def signed(address: str) -> int:
        answers = [ask(backend, predict, **NEW, **{"X-Forwarded-For": address}) for _ in range(200)]
        assert {answer.status_code for answer in answers} == {200}
        return sum("X-Visitor-Signature" in answer.headers for answer in answers)

    assert signed("203.0.113.9") == 120
    assert signed("203.0.113.77") == 0  # the same /24
    assert backend.metric("cookies_withheld_total") == 280
    assert signed("203.0.114.9") == 120
    assert not any(logged.returning_visitor for logged in backend.log.predictions)


def test_errors_and_trusted_networks_use_up_no_cookies(backend: Backend) -> None:
    for _ in range(150):
        ask(backend, VISITOR_ASKS[8], **THROUGH_ROUTER, **NEW)
        assert "X-Visitor-Signature" in ask(backend, VISITOR_ASKS[0], **NEW).headers
    assert "X-Visitor-Signature" in ask(backend, VISITOR_ASKS[0], **THROUGH_ROUTER, **NEW).headers
