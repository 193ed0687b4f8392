"""Who may do what: with and without a key, by network, in each mode."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from homeprices.keys import key_ring
from homeprices.keys.key_ring import SCOPES, Scope
from homeprices.keys.key_token import new_key
from inference.backend.runtime import access
from tests.unit.inference.conftest import Backend, Start

HOME = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
PREDICT = "/api/predict_home_price"
STRANGER = "203.0.113.9"
ASKS: dict[Scope, tuple[str, str, dict[str, Any]]] = {
    "predict": ("POST", PREDICT, {"json": HOME}),
    "batch": ("POST", f"{PREDICT}/batch", {"json": [HOME]}),
    "feedback": ("POST", "/api/feedback", {"json": {"prediction_id": 1, "feedback_type": "accurate"}}),
    "operate": ("GET", "/api/logs/tail", {}),
}
NEEDS_A_KEY: dict[str, set[Scope]] = {
    "off": {"operate"},
    "optional": {"batch", "operate"},
    "required": {"predict", "batch", "feedback", "operate"},
}
OPEN_ROUTES = {"predict.health", "predict.ready", "predict.document", "predict.page"}

Keyed = Callable[..., tuple[Backend, str]]


@pytest.fixture
def keyed(start: Start) -> Keyed:
    """A function that returns a worker with a key of these scopes, and the key's text."""

    def make(*scopes: Scope, mode: str = "optional") -> tuple[Backend, str]:
        backend = start(HOMEPRICES_VISITOR_KEY="key", HOMEPRICES_API_KEYS=mode)
        backend.publish("BO1")
        made = key_ring.create(backend.bucket, scopes, "20/s", timedelta(days=1), "person:me")
        backend.use_keys()
        return backend, made.text

    return make


def ask(
    backend: Backend, scope: Scope, key: str | None = None, address: str = STRANGER, **headers: str
) -> TestResponse:
    method, path, body = ASKS[scope]
    sent = {**headers, **({"Authorization": f"Bearer {key}"} if key else {})}
    return backend.client.open(path, method=method, headers=sent, environ_overrides={"REMOTE_ADDR": address}, **body)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("mode", NEEDS_A_KEY)
def test_a_stranger_without_a_key(keyed: Keyed, mode: str, scope: Scope) -> None:
    backend, _ = keyed("predict", mode=mode)
    answer = ask(backend, scope)
    if scope not in NEEDS_A_KEY[mode]:
        assert answer.status_code == 200
    elif mode == "off":
        assert answer.status_code == 403
    else:
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].lower().startswith("bearer realm=homeprices")
        assert "needs an API key or a trusted network" in answer.get_json()["error"]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("mode", NEEDS_A_KEY)
def test_a_trusted_network_needs_no_key(keyed: Keyed, mode: str, scope: Scope) -> None:
    backend, _ = keyed("predict", mode=mode)
    assert ask(backend, scope, address="127.0.0.1").status_code == 200


@pytest.mark.parametrize("mode", ["optional", "required"])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("address", [STRANGER, "127.0.0.1"])
def test_a_key_may_do_what_its_scopes_say_wherever_it_comes_from(
    keyed: Keyed, mode: str, scope: Scope, address: str
) -> None:
    backend, key = keyed(scope, mode=mode)
    for asked in SCOPES:
        answer = ask(backend, asked, key, address)
        assert answer.status_code == (200 if asked == scope else 403), asked
        if asked != scope:
            assert answer.get_json()["error"].endswith(f"does not have the scope {asked}")


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("address", [STRANGER, "127.0.0.1"])
def test_a_wrong_key_is_refused_also_where_none_is_needed(keyed: Keyed, scope: Scope, address: str) -> None:
    backend, key = keyed(*SCOPES)
    for wrong in (new_key("a" * 8), key[:-1], f"{key},{key}"):
        answer = ask(backend, scope, wrong, address)
        assert answer.status_code == 401
        assert "invalid_token" in answer.headers["WWW-Authenticate"]
        assert wrong not in answer.text
    assert len(backend.log.predictions) == 0


def test_a_revoked_key_is_refused_with_the_next_poll(keyed: Keyed) -> None:
    backend, key = keyed("batch")
    assert ask(backend, "batch", key).status_code == 200
    key_ring.revoke(backend.bucket, key.split("_")[1], "person:me")
    backend.use_keys()
    answer = ask(backend, "batch", key)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "this API key was revoked")


def test_without_keys_the_header_of_another_login_is_ignored(keyed: Keyed) -> None:
    backend, key = keyed("predict", mode="off")
    for header in (key, "nonsense"):
        assert ask(backend, "predict", header).status_code == 200
    assert ask(backend, "operate", key).status_code == 403


@pytest.mark.parametrize("path", [PREDICT, "/api/health", "/api/logs/tail"])
def test_a_key_in_the_address_is_refused_and_not_repeated(keyed: Keyed, path: str) -> None:
    backend, key = keyed(*SCOPES)
    method = "POST" if path == PREDICT else "GET"
    answer = backend.client.open(f"{path}?api_key={key}", method=method, json=HOME if method == "POST" else None)
    assert answer.status_code == 400
    assert "rotate this one" in answer.get_json()["error"]
    assert key not in answer.text


def test_keys_and_trusted_networks_see_variant_and_version_and_visitors_do_not(keyed: Keyed) -> None:
    backend, key = keyed("predict")
    routed = {"X-Forwarded-For": STRANGER}
    with_key, visitor = ask(backend, "predict", key), ask(backend, "predict", address="127.0.0.1", **routed)
    assert (with_key.get_json()["variant"], with_key.get_json()["model_version"]) == ("production", "BO1")
    assert (with_key.headers["X-Variant"], with_key.headers["X-Key-Id"]) == ("production", key.split("_")[1])
    assert not {"variant", "model_version"} & visitor.get_json().keys()
    assert "X-Key-Id" not in visitor.headers
    form = backend.client.post(PREDICT, data=HOME, headers={"Authorization": f"Bearer {key}", **routed})
    assert form.get_json()["model_version"] == "BO1"


def test_details_of_health_are_for_operators(keyed: Keyed) -> None:
    backend, key = keyed("operate")
    sent = {"headers": {"Authorization": f"Bearer {key}"}, "environ_overrides": {"REMOTE_ADDR": STRANGER}}
    assert "workers" in backend.client.get("/api/health", **sent).get_json()
    backend, key = keyed("predict")
    sent = {"headers": {"Authorization": f"Bearer {key}"}, "environ_overrides": {"REMOTE_ADDR": STRANGER}}
    assert set(backend.client.get("/api/health", **sent).get_json()) == {"status", "time", "version"}


def test_a_key_gets_no_more_cookies_than_another_visitor(keyed: Keyed) -> None:
    backend, key = keyed("predict")
    new = {"X-Visitor-Id": "ab" * 16, "X-Visitor-New": "1", "X-Visitor-Key": "key of the router",
           "X-Forwarded-For": STRANGER}  # fmt: skip
    answers = [ask(backend, "predict", key, "127.0.0.1", **new) for _ in range(130)]
    assert sum("X-Visitor-Signature" in answer.headers for answer in answers) == 120


def test_every_use_of_operations_is_logged_and_no_secret(keyed: Keyed) -> None:
    backend, key = keyed("operate")
    key_id = key.split("_")[1]
    with capture_logs() as logs:
        ask(backend, "operate", key)
        ask(backend, "operate", address="127.0.0.1")
        backend.client.get("/metrics")
        ask(backend, "operate", new_key(key_id))
    used = [line for line in logs if line["event"] == "operation_used"]
    assert [(line["by"], line["path"], line["status"]) for line in used] == [
        (f"key {key_id}", "/api/logs/tail", 200),
        ("trusted network", "/api/logs/tail", 200),
    ]
    assert key.rsplit("_", 1)[1] not in json.dumps(logs, default=str)


def test_a_preflight_needs_no_key(keyed: Keyed) -> None:
    backend, _ = keyed("predict", mode="required")
    overrides = {"REMOTE_ADDR": STRANGER}
    assert backend.client.options(f"{PREDICT}/batch", environ_overrides=overrides).status_code == 200


def test_every_route_is_open_on_purpose_or_has_a_scope(keyed: Keyed) -> None:
    backend, _ = keyed("predict")
    unscoped = {rule.endpoint for rule in backend.app.url_map.iter_rules() if access.scope_of(rule.endpoint) is None}
    assert unscoped == OPEN_ROUTES


@pytest.mark.parametrize(
    "asked", [("GET", "/api/health"), ("POST", PREDICT), ("GET", "/api/nothing"), ("GET", "/api/docs")]
)
def test_every_answer_forbids_sniffing(keyed: Keyed, asked: tuple[str, str]) -> None:
    backend, _ = keyed("predict")
    method, path = asked
    for body in (HOME, {}):
        answer = backend.client.open(path, method=method, json=body if method == "POST" else None)
        assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"]
