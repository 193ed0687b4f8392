"""Requests that Nginx answers itself count for nothing, whoever sends them; a failure of a service counts."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from homeprices.release import control_record
from homeprices.release.traffic_counts import PREFIX, DailyTrafficCounts
from router.traffic_counter import TrafficCounter
from tests.integration.router.conftest import Router, eventually
from tests.integration.router.raw import malformed, send, status_of

NOBODY = ("127.0.0.1:1",)
REFUSALS = {0, 400, 405, 408, 413, 414, 421, 501, 505}


@pytest.fixture
def counter(router: Router) -> Iterator[TrafficCounter]:
    """The counter of the router's traffic."""
    counter = TrafficCounter(router.nginx.folder, router.bucket)
    yield counter
    counter.close()


def ledger(router: Router, counter: TrafficCounter) -> dict[str, tuple[int, int]]:
    """Return requests and failures by the variant that answered, as the bake reads them."""
    counter.count_new_lines()
    counter.upload()
    totals: dict[str, tuple[int, int]] = {}
    for entry in router.bucket.list(PREFIX):
        for slot in DailyTrafficCounts.model_validate_json(router.bucket.get(entry.key).body).slots.values():
            for variant, (requests, failed) in slot.items():
                before = totals.get(variant, (0, 0))
                totals[variant] = before[0] + requests, before[1] + failed
    return totals


def breaker(router: Router) -> tuple[int, int, int]:
    """Return what the breaker has counted: asked, failed, slow."""
    router.agent.step()
    counts = json.loads((router.nginx.folder / "agent.json").read_text())["breaker"]
    return counts["asked"], counts["failed"], counts["slow"]


def test_malformed_requests_change_no_count(router: Router, counter: TrafficCounter) -> None:
    visitor = router.visitor_of("candidate")
    router.log_with('"assigned":"candidate","served":"candidate"')
    before = ledger(router, counter), breaker(router)
    responses = [
        send(router.site.listen, request, ends="half" in name)
        for name, request in malformed(visitor.cookie or "").items()
    ]
    assert {status_of(response) for response in responses} <= REFUSALS
    for _ in range(9):
        send(router.site.listen, malformed(visitor.cookie or "")["unknown transfer encoding"])
    eventually(lambda: router.log_with('"status":501').count('"status":501') >= 10)
    assert (ledger(router, counter), breaker(router)) == before
    assert control_record.read(router.bucket).state == "running"
    assert router.metrics.registry.get_sample_value("router_fallbacks_total") == 0


def test_an_answer_of_nginx_to_an_unreadable_request_is_a_problem_document(router: Router) -> None:
    requests = malformed("")
    for name, status in [("a long address", 414), ("unknown transfer encoding", 501), ("a long header", 400)]:
        head, _, body = send(router.site.listen, requests[name]).partition(b"\r\n\r\n")
        assert (status_of(head), json.loads(body)["status"]) == (status, status), name
        assert b"Content-Type: application/problem+json" in head


def test_an_answer_of_the_candidate_that_failed_counts(router: Router, counter: TrafficCounter) -> None:
    visitor = router.visitor_of("candidate")
    router.log_with('"served":"candidate"')
    asked, failed, _ = breaker(router)
    router.candidate.status = 500
    visitor.predict()
    router.log_with('"fallback":"1"')
    assert breaker(router) == (asked + 1, failed + 1, 0)


def test_a_service_that_is_away_counts(router: Router, counter: TrafficCounter) -> None:
    visitor = router.visitor_of("candidate")
    router.log_with('"served":"candidate"')
    (asked, failed, _), ledgered = breaker(router), ledger(router, counter)
    router.change(candidate=NOBODY, production=NOBODY)
    assert visitor.predict().status == 502
    router.log_with('"status":502')
    assert breaker(router) == (asked + 1, failed + 1, 0)
    requests, failures = ledgered.get("production", (0, 0))
    assert ledger(router, counter)["production"] == (requests + 1, failures + 1)


def test_a_service_that_takes_too_long_counts(router: Router, counter: TrafficCounter) -> None:
    visitor = router.visitor_of("candidate")
    router.log_with('"served":"candidate"')
    ledgered = ledger(router, counter)
    router.change(production_timeout=0.2, candidate_timeout=0.2)
    router.production.delay_seconds = router.candidate.delay_seconds = 1
    assert visitor.predict().status == 504
    router.log_with('"status":504')
    assert breaker(router)[1] == 1
    requests, failures = ledgered.get("production", (0, 0))
    assert ledger(router, counter)["production"] == (requests + 1, failures + 1)
