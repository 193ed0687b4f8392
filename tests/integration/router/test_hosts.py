"""A request for a host name that is not this stack's is refused, so that no page can rebind its name to it."""

from __future__ import annotations

import json

import pytest

from tests.integration.router.conftest import Router
from tests.integration.router.raw import BODY, JSON, send, status_of

OURS = ["localhost", "localhost:7000", "127.0.0.1", "127.0.0.1:7000", "[::1]", "[::1]:7000", "10.0.3.4", "router",
        "LOCALHOST", "infer-prod:6001", "router.homeprices.svc", "router.homeprices.svc.cluster.local",
        "homes.example.org", "a.b.example.net"]  # fmt: skip
OTHERS = ["evil.example", "evil.example:7000", "localhost.evil.example", "127.0.0.1.evil.example", "example.org",
          "homes.example.org.evil.example", "10.0.3.4.evil.example"]  # fmt: skip


def ask(router: Router, host: str, path: str = "/api/predict_home_price") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(BODY)}\r\n"
    return send(router.site.listen, head.encode() + JSON + b"\r\n" + BODY)


@pytest.mark.parametrize("host", OURS)
def test_a_host_of_this_stack_is_answered(router: Router, host: str) -> None:
    router.change(hosts=("homes.example.org", "*.example.net"))
    assert status_of(ask(router, host)) == 200
    seen = (router.production.seen + router.candidate.seen)[-1]
    assert seen.headers["Host"] == "localhost"


@pytest.mark.parametrize("host", OTHERS)
def test_another_host_is_refused_with_421(router: Router, host: str) -> None:
    router.change(hosts=("homes.example.org",))
    for path in ("/api/predict_home_price", "/metrics", "/router/version", "/-/problem", "/"):
        head, _, body = ask(router, host, path).partition(b"\r\n\r\n")
        assert (status_of(head), json.loads(body)["status"]) == (421, 421)
        assert b"application/problem+json" in head
        assert b"Set-Cookie" not in head
    assert router.production.seen + router.candidate.seen == []


def test_a_request_without_a_host_is_answered(router: Router) -> None:
    head = f"POST /api/predict_home_price HTTP/1.0\r\nContent-Length: {len(BODY)}\r\n".encode()
    assert status_of(send(router.site.listen, head + JSON + b"\r\n" + BODY)) == 200


def test_answers_forbid_sniffing_and_name_tls_only_behind_it(router: Router) -> None:
    plain = router.visitor().predict()
    assert plain.headers["X-Content-Type-Options"] == "nosniff"
    assert "Strict-Transport-Security" not in plain.headers
    behind = router.visitor(**{"X-Forwarded-Proto": "https"}).predict()
    assert behind.headers["Strict-Transport-Security"] == "max-age=31536000"
