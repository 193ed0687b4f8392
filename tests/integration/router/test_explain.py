"""An explanation comes from the model of the visitor's estimates, and the router does not count it."""

from __future__ import annotations

import pytest

from router.access_log import parse
from tests.integration.router.client import HOME
from tests.integration.router.conftest import Router

EXPLAIN = "/api/explain"


@pytest.mark.parametrize("variant", ["production", "candidate"])
def test_the_variant_of_a_visitors_estimates_explains_them(router: Router, variant: str) -> None:
    visitor = router.visitor_of(variant)
    service = router.production if variant == "production" else router.candidate
    for _ in range(5):
        reply = visitor.ask("POST", EXPLAIN, HOME)
        assert (reply.status, reply.variant, reply.fallback) == (200, variant, False)
        assert service.seen[-1].path == EXPLAIN and service.seen[-1].body == HOME.encode()
        assert service.seen[-1].headers["X-Visitor-Id"] == visitor.id


@pytest.mark.parametrize("status", [500, 503])
def test_production_explains_what_a_failing_candidate_cannot(router: Router, status: int) -> None:
    visitor = router.visitor_of("candidate")
    router.candidate.status = status
    reply = visitor.ask("POST", EXPLAIN, HOME)
    assert (reply.status, reply.variant, reply.fallback) == (200, "production", True)
    assert router.production.seen[-1].path == EXPLAIN


def test_it_gives_no_cookie_and_a_new_visitor_is_answered_by_production(router: Router) -> None:
    visitor = router.visitor()
    reply = visitor.ask("POST", EXPLAIN, HOME)
    assert (reply.status, reply.variant) == (200, "production")
    assert "Set-Cookie" not in reply.headers
    assert "X-Visitor-Key" not in router.production.seen[-1].headers


def test_it_is_no_prediction_in_the_log_of_the_router(router: Router) -> None:
    reply = router.visitor().ask("POST", EXPLAIN, HOME)
    lines = parse(router.log_with(reply.headers["X-Request-ID"]).splitlines())
    assert [line.is_prediction for line in lines if line and line.path == EXPLAIN] == [False]


@pytest.mark.parametrize(("mode", "status"), [("off", 200), ("optional", 200), ("required", 401)])
def test_strangers_need_a_key_where_they_need_one_for_an_estimate(router: Router, mode: str, status: int) -> None:
    router.change(api_keys=mode)
    stranger = router.visitor(**{"X-Forwarded-For": "203.0.113.9"})
    answers = [stranger.ask("POST", path, HOME).status for path in (EXPLAIN, "/api/predict_home_price")]
    assert answers == [status, status]
