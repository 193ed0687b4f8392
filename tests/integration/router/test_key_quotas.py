"""API keys at Nginx: each has its own quota, no address gets one by a wrong key, and no log holds a key."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass

import pytest

from homeprices.keys.key_token import new_id, new_key
from homeprices.keys.key_usage import PREFIX, RouterKeyUsage
from router.site_config import RouterKey
from router.traffic_counter import TrafficCounter
from tests.integration.router.client import HOME, Reply
from tests.integration.router.conftest import Router, eventually
from tests.integration.router.raw import send, status_of
from tests.integration.router.test_bounds import refused

PREDICT, BATCH = "/api/predict_home_price", "/api/predict_home_price/batch"
OPERATIONS = ["/metrics", "/api/metrics", "/api/logs", "/api/logs/tail", "/api/drift_report"]


@dataclass
class Key:
    """A key of this test: its text, and what the router knows of it."""

    text: str
    known: RouterKey

    @property
    def header(self) -> str:
        return f"Bearer {self.text}"


def make(quota: str = "100/s") -> Key:
    text = new_key(new_id())
    _, key_id, tag, _ = text.split("_")
    return Key(text, RouterKey(key_id, (tag,), quota))


def ask(router: Router, address: str, path: str = PREDICT, key: str | None = None, body: str | None = HOME) -> Reply:
    more = {"Authorization": f"Bearer {key}"} if key else {}
    visitor = router.visitor(**{"X-Forwarded-For": address}, **more)
    reply = visitor.ask("POST" if body else "GET", path, body)
    visitor.close()
    return reply


def test_a_quota_is_the_keys_own_whatever_address_it_comes_from(router: Router) -> None:
    small, large = make("3/m"), make("1000/s")
    router.change(keys=(small.known, large.known), requests_per_second=1)
    replies = [ask(router, f"203.0.113.{n}", key=small.text) for n in range(8)]
    assert [reply.status for reply in replies] == [200] * 4 + [429] * 4  # the first one, and a burst of 3
    limited = replies[-1]
    assert limited.json()["error"] == (f"Too many requests with API key {small.known.id}: its quota is 3/m; slow down")
    assert (limited.headers["Retry-After"], limited.headers["Content-Type"]) == ("20", "application/problem+json")
    assert ask(router, "127.0.0.1", key=small.text).status == 429, "also from a trusted network"
    assert {ask(router, "203.0.113.9", key=large.text).status for _ in range(30)} == {200}
    assert ask(router, "203.0.113.9").status == 200, "the key used up nothing of its address"
    assert small.text not in limited.body.decode()


def test_an_address_above_its_limit_is_told_so(router: Router) -> None:
    router.change(requests_per_second=1)
    limited = next(reply for _ in range(500) if (reply := ask(router, "203.0.113.9")).status == 429)
    assert limited.json()["error"] == "Too many requests from this address: 1 a second are allowed; slow down"


def test_two_texts_of_a_key_share_its_quota(router: Router) -> None:
    first = make("3/m")
    second = new_key(first.known.id)
    router.change(keys=(RouterKey(first.known.id, (*first.known.tags, second.split("_")[2]), "3/m"),))
    replies = [ask(router, "203.0.113.9", key=text) for text in (first.text, second, first.text, second, first.text)]
    assert [reply.status for reply in replies] == [200] * 4 + [429]


def test_a_wrong_key_is_limited_by_address_and_uses_up_no_quota(router: Router) -> None:
    key = make("3/m")
    router.change(keys=(key.known,), requests_per_second=1)
    wrong = [new_key(key.known.id), new_key(new_id()), "nonsense"]  # the id is not secret: lists and logs show it
    replies = [ask(router, "203.0.113.9", key=wrong[n]) for n in range(3)]
    assert [reply.status for reply in replies] == [200] * 3, "this service checks nothing"
    more = (ask(router, "203.0.113.9", key=wrong[n % 3]) for n in range(500))
    limited = next(reply for reply in more if reply.status == 429)
    assert limited.json()["error"].startswith("Too many requests from this address")
    assert [ask(router, "203.0.113.9", key=key.text).status for _ in range(4)] == [200] * 4


def test_a_key_that_ended_has_no_quota_any_more(router: Router) -> None:
    key = make("1000/s")
    router.change(keys=(key.known,), requests_per_second=1)
    assert {ask(router, "203.0.113.9", key=key.text).status for _ in range(10)} == {200}
    router.change(keys=())
    # A slow machine asks for some seconds before it is faster than the address may be.
    assert any(ask(router, "203.0.113.9", key=key.text).status == 429 for _ in range(500))


def test_many_keys_of_many_quotas_fit(router: Router) -> None:
    keys = [make(f"{1 + n % 32}/s") for n in range(500)]
    router.change(keys=tuple(key.known for key in keys))
    for key in (keys[0], keys[250], keys[499]):
        assert ask(router, "203.0.113.9", BATCH, key.text, "[]").status == 200


def test_in_flight_bounds_count_by_key(router: Router) -> None:
    key, other = make("1000/s"), make("1000/s")
    router.change(keys=(key.known, other.known))
    host, port = router.site.listen.split(":")
    held = []
    try:
        for number in range(3):
            client = socket.create_connection((host, int(port)), timeout=20)
            client.sendall(
                f"POST {BATCH} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 203.0.113.{number}\r\n"
                f"Authorization: {key.header}\r\nContent-Length: 100\r\n\r\n[".encode()
            )
            held.append(client)
        eventually(lambda: refused(held) == 1)
        reply = ask(router, "203.0.113.77", BATCH, key.text, "[]")
        assert (reply.status, "in progress" in reply.json()["error"]) == (429, True)
        assert ask(router, "203.0.113.77", BATCH, other.text, "[]").status == 200
    finally:
        for client in held:
            client.close()


@pytest.mark.parametrize("path", [BATCH, *OPERATIONS])
@pytest.mark.parametrize("mode", ["optional", "required"])
def test_batches_and_operations_of_strangers_need_a_key(router: Router, path: str, mode: str) -> None:
    key = make()
    router.change(keys=(key.known,), api_keys=mode)
    body = "[]" if path == BATCH else None
    for wrong in (None, new_key(key.known.id), "nonsense"):
        refused = ask(router, "203.0.113.9", path, wrong, body)
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer realm=homeprices")
        assert refused.json()["error"].startswith("This needs an API key or a trusted network")
    assert router.production.seen == [], "a service was asked"
    assert ask(router, "203.0.113.9", path, key.text, body).status == 200
    assert router.production.seen[-1].headers["Authorization"] == key.header
    assert ask(router, "127.0.0.1", path, None, body).status == 200


@pytest.mark.parametrize(("mode", "status"), [("off", 200), ("optional", 200), ("required", 401)])
def test_what_visitors_may_do_without_a_key(router: Router, mode: str, status: int) -> None:
    key = make()
    router.change(keys=() if mode == "off" else (key.known,), api_keys=mode)
    asked = [(PREDICT, HOME), ("/api/feedback", "{}"), ("/api/get_location_names", None)]
    assert [ask(router, "203.0.113.9", path, None, body).status for path, body in asked] == [status] * 3
    assert [ask(router, "203.0.113.9", path, key.text, body).status for path, body in asked] == [200] * 3
    assert [ask(router, "203.0.113.9", path, None, None).status for path in ("/api/health", "/api/docs")] == [200] * 2


def test_without_keys_batches_are_open_and_operations_are_not(router: Router) -> None:
    router.change(api_keys="off")
    assert ask(router, "203.0.113.9", BATCH, None, "[]").status == 200
    assert {ask(router, "203.0.113.9", path, None, None).status for path in OPERATIONS} == {403}


def test_variant_and_version_are_shown_to_a_key_that_a_service_has_verified(router: Router) -> None:
    key = make()
    router.change(keys=(key.known,))
    hidden = ask(router, "203.0.113.9", key=key.text)  # the service has not said that the key is valid
    assert not {"X-Variant", "X-Model-Version", "X-Key-Id"} & hidden.headers.keys()
    for service in (router.production, router.candidate):
        service.key_id = key.known.id
    shown = ask(router, "203.0.113.9", key=key.text)
    assert {"X-Variant", "X-Model-Version"} <= shown.headers.keys()
    assert "X-Key-Id" not in shown.headers


def test_no_file_of_the_router_holds_the_secret_of_a_key(router: Router) -> None:
    key = make("1/m")
    router.change(keys=(key.known,))
    for _ in range(4):
        ask(router, "203.0.113.9", key=key.text)
    ask(router, "203.0.113.9", f"{PREDICT}?api_key={key.text}")
    ask(router, "203.0.113.9", f"/api/{key.text}")
    sent = f"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {key.header}\r\nX: \x00\r\n\r\n"
    send(router.site.listen, sent.encode())
    log = router.log_with("(an API key)")
    assert f'"key":"{key.known.id}"' in log
    secret = key.text.rsplit("_", 1)[1]
    router.agent.step()
    written = [path for path in router.nginx.folder.rglob("*") if path.is_file()]
    assert len(written) >= 4
    assert [path.name for path in written if secret in path.read_text(errors="replace")] == []
    assert [path.name for path in written if key.known.tags[0] in path.read_text(errors="replace")] == ["nginx.conf"]
    assert router.nginx.configuration.stat().st_mode & 0o077 == 0


def test_use_is_counted_by_key_and_outcome(router: Router) -> None:
    key = make("3/m")
    router.change(keys=(key.known,))
    counter = TrafficCounter(router.nginx.folder, router.bucket)
    router.production.status = 200
    for path, body in ((PREDICT, HOME), ("/api/logs", None)):
        ask(router, "203.0.113.9", path, key.text, body)
    for service in (router.production, router.candidate):
        service.status = 403
    for path in (PREDICT, "/api/logs"):
        ask(router, "203.0.113.9", path, key.text)
    ask(router, "203.0.113.9", PREDICT, key.text)
    eventually(lambda: router.log_with(key.known.id).count(f'"key":"{key.known.id}"') == 5)
    router.agent.step()
    counter.count_new_lines()
    counter.upload()
    counter.close()
    [stored] = list(router.bucket.list(PREFIX))
    use = RouterKeyUsage.model_validate_json(router.bucket.get(stored.key).body).keys[key.known.id]
    assert (use.allowed, use.refused, use.limited, use.operations) == (2, 2, 1, 1)
    assert use.last_used is not None

    def metric(name: str, **labels: str) -> float | None:
        return router.metrics.registry.get_sample_value(name, {"key": key.known.id, **labels})

    outcomes = {one: metric("router_key_requests_total", outcome=one) for one in ("allowed", "refused", "limited")}
    assert outcomes == {"allowed": 2, "refused": 2, "limited": 1}
    assert metric("router_key_last_used_timestamp_seconds") == pytest.approx(use.last_used.timestamp())


@pytest.mark.parametrize("size", [9_000, 100_000])
def test_a_long_header_is_refused_by_nginx(router: Router, size: int) -> None:
    head = (
        f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {'x' * size}\r\n\r\n"
    )
    answer = send(router.site.listen, head.encode())
    assert status_of(answer) == 400
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 400
    assert router.production.seen + router.candidate.seen == []
