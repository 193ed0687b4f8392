"""A candidate that is down, slow or failing: its visitors get production's response, marked as a fallback."""

from __future__ import annotations

import re
import threading

import pytest

from homeprices.release import control_record
from router.circuit_breaker import Limits
from tests.integration.router.conftest import Router, eventually, running_record


def make_it_hang(router: Router) -> None:
    router.candidate.hang = threading.Event()


def make_it_refuse(router: Router) -> None:
    with_nobody_there = "127.0.0.1:1"
    router.change(candidate=(with_nobody_there,))


def make_it_answer(status: int) -> object:
    def answer(router: Router) -> None:
        router.candidate.status = status

    return answer


def make_it_drop(router: Router) -> None:
    router.candidate.drop = True


FAULTS = {
    "refuses": make_it_refuse,
    "hangs": make_it_hang,
    "drops the connection": make_it_drop,
    "answers 500": make_it_answer(500),
    "answers 503 for want of a model": make_it_answer(503),
    "has no address": lambda router: router.change(candidate=("127.0.0.1:1 down",)),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_the_router_falls_back_and_marks_the_response(router: Router, fault: object) -> None:
    visitor = router.visitor_of("candidate")
    fault(router)  # type: ignore[operator]
    reply = visitor.predict()
    assert (reply.status, reply.variant, reply.fallback) == (200, "production", True)
    assert reply.json()["served_by"] == "production"
    seen = router.production.seen[-1]
    assert seen.path == "/api/predict_home_price"
    assert b"Whitefield" in seen.body
    assert seen.headers["X-Variant-Fallback"] == "1"
    assert seen.headers["X-Assigned-Variant"] == "candidate"
    assert seen.headers["X-Visitor-Id"] == visitor.id


def test_a_slow_candidate_costs_its_visitor_no_more_than_the_limit(router: Router) -> None:
    visitor = router.visitor_of("candidate")
    make_it_hang(router)
    assert visitor.predict().fallback, "the visitor itself gives up long before Nginx would without a limit"


def test_an_invalid_request_is_not_a_failure_of_the_candidate(router: Router) -> None:
    visitor = router.visitor_of("candidate")
    router.candidate.status = 422
    reply = visitor.predict()
    assert (reply.status, reply.variant, reply.fallback) == (422, "candidate", False)


def test_without_both_services_the_response_is_a_problem_document_with_retry_after(router: Router) -> None:
    visitor = router.visitor_of("candidate")
    router.change(candidate=("127.0.0.1:1",), production=("127.0.0.1:1",))
    reply = visitor.predict()
    assert reply.status == 502
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["Retry-After"] == "5"
    problem = reply.json()
    assert problem["status"] == 502
    assert problem["error"] == problem["detail"] == "The service that answers this could not be reached"
    assert problem["request_id"] == reply.headers["X-Request-ID"]


def test_a_problem_document_of_production_passes_unchanged(router: Router) -> None:
    visitor = router.visitor_of("production")
    router.production.status = 503
    reply = visitor.predict()
    assert (reply.status, reply.json()["served_by"], reply.fallback) == (503, "production", False)


def test_feedback_that_was_sent_is_never_repeated(router: Router) -> None:
    visitor = router.visitor_of("candidate")
    router.candidate.drop = True
    before = len(router.production.seen)
    reply = visitor.feedback()
    assert reply.status == 502
    assert router.candidate.paths().count("/api/feedback") == 1
    assert len(router.production.seen) == before


def test_feedback_is_not_repeated_on_the_candidates_own_error(router: Router) -> None:
    visitor = router.visitor_of("candidate")
    router.candidate.status = 503
    assert visitor.feedback().status == 503
    assert "/api/feedback" not in router.production.paths()


def test_feedback_that_could_not_be_sent_goes_to_production(router: Router) -> None:
    visitor = router.visitor_of("candidate")
    make_it_refuse(router)
    reply = visitor.feedback()
    assert (reply.status, reply.variant) == (200, "production")
    assert router.production.paths().count("/api/feedback") == 1


@pytest.mark.parametrize("fault", [make_it_refuse, make_it_answer(500)], ids=["gone", "failing"])
def test_the_breaker_sets_the_share_of_a_failing_candidate_to_zero(router: Router, fault: object) -> None:
    visitor = router.visitor_of("candidate")
    fault(router)  # type: ignore[operator]
    for _ in range(5):
        assert visitor.predict().fallback
    eventually(lambda: _step_and_tell_state(router) == "stopped")
    record = control_record.read(router.bucket)
    assert (record.state, record.share, record.epoch, record.updated_by) == ("stopped", 0.0, 2, "router")
    assert "circuit breaker: 5 failed and 0 slow" in record.reason
    reply = visitor.predict()
    assert (reply.variant, reply.fallback) == ("production", False)
    assert "X-Experiment-Epoch" not in router.production.seen[-1].headers


def test_the_breaker_sets_the_share_of_a_slow_candidate_to_zero(router: Router) -> None:
    router.limits = Limits(slow_seconds=0.05)
    router.__post_init__()
    router.apply_record()
    visitor = router.visitor_of("candidate")
    router.candidate.delay_seconds = 0.1
    for _ in range(5):
        assert not visitor.predict().fallback
    eventually(lambda: _step_and_tell_state(router) == "stopped")
    # On a busy machine, the answer that found the visitor was slow too.
    assert re.search(r"\b[5-9] slow \(over 0\.05 s\)", control_record.read(router.bucket).reason)


def test_setting_the_share_again_closes_the_breaker(router: Router) -> None:
    visitor = router.visitor_of("candidate")
    router.candidate.status = 500
    for _ in range(5):
        visitor.predict()
    eventually(lambda: _step_and_tell_state(router) == "stopped")
    router.candidate.status = 200
    control_record.set_share(router.bucket, 50, "a person", "it is mended")
    router.apply_record()
    router.agent.step()
    assert visitor.predict().variant == "candidate"
    assert control_record.read(router.bucket).state == "running"
    assert router.metrics.registry.get_sample_value("router_breaker_open") == 0
    assert router.metrics.registry.get_sample_value("router_breaker_trips_total") == 1


def test_a_single_failure_trips_nothing(router: Router) -> None:
    visitor = router.visitor_of("candidate")
    router.candidate.status = 500
    reply = visitor.predict()
    router.log_with(reply.headers["X-Request-ID"])
    router.agent.step()
    router.control.poll()
    assert control_record.read(router.bucket) == running_record()


def _step_and_tell_state(router: Router) -> str:
    router.agent.step()
    router.apply_record()
    return router.control.cached.record.state
