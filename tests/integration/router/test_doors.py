"""Access to routes by network, and limits of size and rate."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.integration.router.client import HOME
from tests.integration.router.conftest import Router

STRANGER = {"X-Forwarded-For": "203.0.113.9"}
OPERATORS_ONLY = ["/metrics", "/api/metrics", "/api/logs", "/api/logs/tail", "/api/drift_report", "/router/version"]


@pytest.mark.parametrize("path", OPERATORS_ONLY)
def test_operator_routes_are_forbidden_to_untrusted_networks(router: Router, path: str) -> None:
    router.change(api_keys="off")
    reply = router.visitor(**STRANGER).ask("GET", path + "?limit=5")
    assert reply.status == 403
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json()["error"] == "This is open to trusted networks only"
    assert router.production.seen == []


@pytest.mark.parametrize("path", OPERATORS_ONLY[:-1])
def test_operator_routes_are_open_to_trusted_networks(router: Router, path: str) -> None:
    reply = router.visitor().ask("GET", path + "?limit=5")
    assert (reply.status, router.production.paths()) == (200, [path + "?limit=5"])


@pytest.mark.parametrize("path", ["/api/get_location_names", "/api/health", "/api/openapi.json", "/api/docs"])
def test_locations_and_health_are_open_to_all(router: Router, path: str) -> None:
    reply = router.visitor(**STRANGER).ask("GET", path)
    assert (reply.status, reply.json()["served_by"]) == (200, "production")


def test_an_untrusted_peer_cannot_claim_a_trusted_address(router: Router) -> None:
    router.change(trusted=("10.0.0.0/8",))
    visitor = router.visitor(**{"X-Forwarded-For": "10.0.0.1", "X-User-Id": "chosen"})
    assert visitor.ask("GET", "/metrics").status == 401
    visitor.predict()
    assert "chosen" not in {
        request.headers["X-Visitor-Id"] for request in router.production.seen + router.candidate.seen
    }


def test_the_agent_reads_the_revision_even_where_loopback_is_not_trusted(router: Router) -> None:
    router.change(trusted=("10.0.0.0/8",))
    assert router.agent.last is not None
    assert router.agent.last.outcome == "applied"


@pytest.mark.parametrize("path", ["/", "/api/nothing", "/-/predict/candidate", "/-/feedback/production"])
def test_other_addresses_are_not_found(router: Router, path: str) -> None:
    reply = router.visitor().ask("POST", path, HOME)
    assert (reply.status, reply.json()["title"]) == (404, "Not found")
    assert router.production.seen + router.candidate.seen == []


def test_a_body_over_the_limit_is_refused(router: Router) -> None:
    reply = router.visitor().ask("POST", "/api/predict_home_price", json.dumps({"society": "x" * 70_000}))
    assert reply.status == 413
    assert reply.json()["error"] == "The body is larger than 64 KiB"
    assert router.production.seen + router.candidate.seen == []


def test_a_body_just_under_the_limit_arrives_whole(router: Router) -> None:
    body = json.dumps({"society": "x" * 60_000})
    assert router.visitor().ask("POST", "/api/predict_home_price", body).status == 200
    assert (router.production.seen + router.candidate.seen)[-1].body.decode() == body


def test_a_batch_goes_to_production_and_may_be_larger(router: Router) -> None:
    visitor = router.visitor_of("candidate")
    body = json.dumps([{"society": "x" * 4_000_000}])
    reply = visitor.ask("POST", "/api/predict_home_price/batch", body)
    assert (reply.status, reply.variant) == (200, "production")
    assert router.production.seen[-1].body.decode() == body
    too_large = visitor.ask("POST", "/api/predict_home_price/batch", "x" * (4 * 2**20 + 1))
    assert (too_large.status, too_large.json()["error"]) == (413, "The body is larger than 4096 KiB")
    assert router.candidate.paths().count("/api/predict_home_price/batch") == 0


def test_a_cors_preflight_reaches_the_service(router: Router) -> None:
    asked = {"Origin": "https://homes.example.org", "Access-Control-Request-Method": "POST"}
    for path in ("/api/predict_home_price", "/api/predict_home_price/batch", "/api/feedback"):
        assert router.visitor().ask("OPTIONS", path, **asked).status == 200
    seen = router.production.seen + router.candidate.seen
    assert [request.method for request in seen] == ["OPTIONS"] * 3
    assert {request.headers["Origin"] for request in seen} == {"https://homes.example.org"}


def test_a_form_arrives_as_it_was_sent(router: Router) -> None:
    form = "total_sqft=1200&location=Whitefield&bhk=2&bath=2"
    visitor = router.visitor()
    visitor.ask("POST", "/api/predict_home_price?x=1", form, **{"Content-Type": "application/x-www-form-urlencoded"})
    seen = (router.production.seen + router.candidate.seen)[-1]
    assert (seen.path, seen.body.decode()) == ("/api/predict_home_price?x=1", form)
    assert seen.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_an_address_above_the_rate_limit_gets_429(router: Router) -> None:
    router.change(requests_per_second=1)
    visitor = router.visitor(**STRANGER)
    assert [visitor.predict().status for _ in range(3)] == [200, 200, 200]
    # A slow machine asks for some seconds before it is faster than the address may be.
    refused = next(reply for _ in range(500) if (reply := visitor.predict()).status == 429)
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Content-Type"] == "application/problem+json"
    another = router.visitor(**{"X-Forwarded-For": "203.0.113.10"})
    assert another.predict().status == 200


def test_trusted_networks_have_no_rate_limit(router: Router) -> None:
    router.change(requests_per_second=1)
    visitor = router.visitor()
    assert {visitor.predict().status for _ in range(20)} == {200}


def test_the_log_has_one_json_line_per_response(router: Router) -> None:
    visitor = router.visitor_of("candidate")
    reply = visitor.ask("POST", '/api/predict_home_price?q="quoted"', HOME)
    lines = router.log_with(reply.headers["X-Request-ID"]).splitlines()
    line = next(json.loads(line) for line in lines if reply.headers["X-Request-ID"] in line)
    assert line["path"] == "/api/predict_home_price"
    said = {name: line[name] for name in ("method", "status", "assigned", "served", "fallback", "experiment", "epoch")}
    assert said == {
        "method": "POST",
        "status": 200,
        "assigned": "candidate",
        "served": "candidate",
        "fallback": "",
        "experiment": "BO1-CO1",
        "epoch": 1,
    }
    assert line["model_version"] == "CO1"


def test_the_version_route_shows_the_record_in_force(router: Router) -> None:
    reply = router.visitor().ask("GET", "/router/version")
    said = reply.json()
    assert said.pop("revision") == reply.headers["X-Router-Config"]
    assert said == {
        "state": "running",
        "experiment": "BO1-CO1",
        "production": "BO1",
        "candidate": "CO1",
        "share": 50.0,
        "epoch": 1,
    }


def test_a_client_that_sends_nothing_holds_no_more_than_a_connection(router: Router) -> None:
    host, port = router.site.listen.split(":")
    idle = [http.client.HTTPConnection(host, int(port)) for _ in range(50)]
    for connection in idle:
        connection.connect()
    assert router.visitor().predict().status == 200
    for connection in idle:
        connection.close()
