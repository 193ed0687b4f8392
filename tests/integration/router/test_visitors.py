"""The identity of a visitor, and the assigned variant."""

from __future__ import annotations

import hashlib
import re
import secrets

import pytest

from inference.backend.runtime.request_context import signature
from tests.integration.router.client import COOKIE_KEY, HOME, Visitor, signed
from tests.integration.router.conftest import Router, running_record
from tests.support.nginx_split import variant_of

STRANGER = {"X-Forwarded-For": "203.0.113.9"}


def test_five_thousand_ids_have_the_variant_that_python_computes(router: Router) -> None:
    router.apply_record(running_record(share=12.34, salt="c0ffee", epoch=2))
    visitor = router.visitor()
    different = []
    for number in range(5000):
        visitor.cookie = signed(hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest())
        if visitor.ask("GET", "/api/predict_home_price").variant != variant_of("c0ffee", visitor.id, 12.34):
            different.append(visitor.cookie)
    assert different == []


def test_a_new_visitor_gets_a_cookie_and_then_keeps_the_variant(router: Router) -> None:
    visitor = router.visitor()
    first = visitor.predict()
    assert first.variant == "production"
    assert re.fullmatch(
        r"visitor=[0-9a-f]{32}\.[A-Za-z0-9_-]{22}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax",
        first.headers["Set-Cookie"],
    )
    later = [visitor.predict() for _ in range(20)]
    assert {reply.variant for reply in later} == {variant_of("5a17", visitor.id, 50)}
    assert not any("Set-Cookie" in reply.headers for reply in later)


def test_the_cookie_is_marked_secure_behind_https(router: Router) -> None:
    assert router.visitor().predict(**{"X-Forwarded-Proto": "https"}).headers["Set-Cookie"].endswith("; Secure")


@pytest.mark.parametrize(
    "cookie",
    ["", "short", "a" * 32, f"{'a' * 32}.", signed("A" * 32), signed("0" * 33), signed("0" * 31 + "g"),
     signed("a" * 32)[:-1] + "!", f"{'b' * 32}.{signature('a' * 32, COOKIE_KEY)}",
     f"{'a' * 32}.{signature('a' * 32, 'another key')}"],
)  # fmt: skip
def test_a_cookie_with_an_invalid_signature_is_replaced(router: Router, cookie: str) -> None:
    visitor = router.visitor()
    visitor.cookie = cookie
    visitor.predict()
    assert visitor.cookie not in (cookie, None)
    assert visitor.id != cookie.partition(".")[0]
    assert visitor.cookie == signed(visitor.id)


def test_a_router_with_another_key_treats_a_visitor_as_new(router: Router) -> None:
    visitor = router.visitor()
    visitor.predict()
    before = visitor.id
    router.change(cookie_key="f" * 32)
    reply = visitor.predict()
    assert "Set-Cookie" in reply.headers
    assert visitor.id != before


def test_without_a_signature_of_the_service_no_cookie_is_set(router: Router) -> None:
    router.change(production=("127.0.0.1:1",), candidate=("127.0.0.1:1",))
    assert "Set-Cookie" not in router.visitor().predict().headers


def test_neither_key_nor_signature_reaches_the_client(router: Router) -> None:
    reply = router.visitor().predict()
    assert not {"X-Visitor-Key", "X-Visitor-Signature"} & set(reply.headers)
    assert (router.nginx.configuration.stat().st_mode & 0o777) == 0o600


def test_the_service_gets_the_visitor_the_variant_and_the_epoch(router: Router) -> None:
    visitor = router.visitor()
    for new in ("1", None):
        reply = visitor.predict()
        seen = (router.production if reply.variant == "production" else router.candidate).seen[-1].headers
        assert seen["X-Visitor-Id"] == visitor.id
        assert ("X-Visitor-Key" in seen) == (new == "1")
        assert seen.get("X-Assigned-Variant") == (None if new else variant_of("5a17", visitor.id, 50))
        assert seen["X-Experiment-Epoch"] == "1"
        assert seen.get("X-Visitor-New") == new
        assert seen["X-Request-ID"] == reply.headers["X-Request-ID"]
        assert "Cookie" not in seen
        assert seen["X-Forwarded-For"] == "127.0.0.1"


def test_the_service_gets_the_one_address_that_no_trusted_network_has_vouched_for(router: Router) -> None:
    for forwarded, address in (("203.0.113.9", "203.0.113.9"), ("198.51.100.1, 203.0.113.9, 127.0.0.5", "203.0.113.9")):
        router.visitor(**{"X-Forwarded-For": forwarded}).predict()
        seen = (router.production.seen + router.candidate.seen)[-1:]
        assert [one.headers["X-Forwarded-For"] for one in seen if one.path] == [address]
        router.production.seen.clear()
        router.candidate.seen.clear()


def test_the_request_id_is_not_the_new_visitors_cookie(router: Router) -> None:
    visitor = router.visitor()
    reply = visitor.predict()
    assert visitor.id not in reply.headers["X-Request-ID"]
    log = router.log_with(reply.headers["X-Request-ID"])
    assert visitor.id not in log
    assert "127.0.0.1" not in log


def test_a_trusted_network_names_its_visitor_and_request(router: Router) -> None:
    visitor = router.visitor(**{"X-User-Id": "user-17", "X-Request-ID": "0123456789abcdef"})
    reply = visitor.predict()
    seen = (router.production.seen + router.candidate.seen)[-1].headers
    assert seen["X-Visitor-Id"] == "user-17"
    assert seen["X-Assigned-Variant"] == variant_of("5a17", "user-17", 50)
    assert reply.headers["X-Request-ID"] == "0123456789abcdef"
    assert "Set-Cookie" not in reply.headers


def test_an_untrusted_client_cannot_choose_a_variant_by_a_user_id(router: Router) -> None:
    chosen = next(name for name in map(str, range(99)) if variant_of("5a17", name, 50) == "candidate")
    claim = {"X-User-Id": chosen, "X-Request-ID": "0123456789abcdef"}
    replies = [router.visitor(**STRANGER).arrive().predict(**claim) for _ in range(30)]
    assert "/api/predict_home_price" in router.production.paths()
    assert not any(reply.headers["X-Request-ID"] == "0123456789abcdef" for reply in replies)
    assert router.candidate.seen
    assert chosen not in {request.headers["X-Visitor-Id"] for request in router.candidate.seen}


def test_internal_headers_of_a_client_never_reach_a_service(router: Router) -> None:
    forged = {
        "X-Visitor-Id": "forged",
        "X-Assigned-Variant": "forged",
        "X-Experiment-Epoch": "999",
        "X-Variant-Fallback": "1",
        "X-Visitor-New": "forged",
        "X-Visitor-Key": "forged",
        "X-Variant": "forged",
        "X-Model-Version": "forged",
        "X_Visitor_Id": "forged",
        "X_Experiment_Epoch": "999",
        "X-Real-IP": "198.51.100.1",
        "Forwarded": "for=198.51.100.1",
        "Cookie": "visitor=forged; session=forged",
    }
    visitor = router.visitor(**forged)
    for ask in (visitor.predict, visitor.feedback):
        ask()
        visitor.cookie = None
    seen = router.production.seen + router.candidate.seen
    for request in seen:
        values = " ".join(f"{name}={value}" for name, value in request.headers.items())
        assert "forged" not in values
        assert "999" not in request.headers["X-Experiment-Epoch"]
        assert "198.51.100.1" not in values
        assert "X-Variant-Fallback" not in request.headers


def test_a_client_that_keeps_no_cookie_is_assigned_to_no_variant(router: Router) -> None:
    router.apply_record(running_record(share=50, epoch=2))
    for _ in range(30):
        router.visitor(**STRANGER).predict()
    assert router.candidate.seen == []
    asked = [request.headers for request in router.production.seen]
    assert [seen.get("X-Assigned-Variant") for seen in asked] == [None] * 30
    assert {seen["X-Visitor-New"] for seen in asked} == {"1"}


def test_an_error_gives_no_cookie(router: Router) -> None:
    for status in (400, 404, 413, 422, 429, 500, 503):
        router.production.status = status
        for ask in (Visitor.predict, Visitor.feedback, Visitor.arrive):
            visitor = router.visitor(**STRANGER)
            ask(visitor)
            assert visitor.cookie is None, (status, ask)


def test_visitors_learn_neither_variant_nor_version_and_trusted_networks_learn_both(router: Router) -> None:
    named = {"X-Variant", "X-Variant-Fallback", "X-Model-Version", "X-Router-Config"}
    for variant in ("production", "candidate"):
        insider = router.visitor_of(variant)
        assert insider.predict().headers["X-Model-Version"] == {"production": "BO1", "candidate": "CO1"}[variant]
        stranger = router.visitor(**STRANGER)
        stranger.cookie = insider.cookie
        for status in (200, 422, 500):  # the candidate's 500 is a fallback
            router.production.status = router.candidate.status = status
            for reply in (stranger.predict(), stranger.feedback()):
                assert not named & set(reply.headers), (variant, status)
        router.production.status = router.candidate.status = 200


def test_the_answer_to_a_bad_request_is_the_same_in_both_variants(router: Router) -> None:
    answers = []
    for variant in ("production", "candidate"):
        stranger = router.visitor(**STRANGER)
        stranger.cookie = router.visitor_of(variant).cookie
        path = "/api/predict_home_price"
        asked = [("GET", None), ("PUT", HOME), ("POST", "{"), ("POST", "x" * 70_000), ("DELETE", None)]
        replies = [stranger.ask(method, path, body) for method, body in asked]
        answers.append([(reply.status, sorted(set(reply.headers) - {"Date"})) for reply in replies])
    assert answers[0] == answers[1]


def test_the_share_of_the_visitors_is_the_configured_share(router: Router) -> None:
    router.apply_record(running_record(share=20, epoch=2))
    asked = 1000
    candidates = 0
    visitor = router.visitor()
    for _ in range(asked):
        visitor.cookie = signed(secrets.token_hex(16))
        candidates += visitor.predict().variant == "candidate"
    assert abs(candidates / asked - 0.2) < 4.5 * (0.2 * 0.8 / asked) ** 0.5  # 4.5 sigma: 1 in 150,000 by chance


def test_a_larger_share_moves_visitors_only_to_the_candidate(router: Router) -> None:
    def variants() -> dict[str, str]:
        found = {}
        for cookie in cookies:
            visitor.cookie = cookie
            found[cookie] = visitor.predict().variant
        return found

    visitor: Visitor = router.visitor()
    ids = [hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest() for number in range(250)]
    cookies = [signed(one) for one in ids]
    router.apply_record(running_record(share=10, epoch=2))
    before = variants()
    router.apply_record(running_record(share=30, epoch=3))
    after = variants()
    moved = {(before[cookie], after[cookie]) for cookie in cookies if before[cookie] != after[cookie]}
    assert moved == {("production", "candidate")}


def test_without_an_experiment_all_visitors_are_in_production(router: Router) -> None:
    record = running_record(epoch=2).model_copy(update={"state": "stopped", "share": 0.0})
    router.apply_record(record)
    replies = [router.visitor().predict() for _ in range(20)]
    assert {reply.variant for reply in replies} == {"production"}
    assert "X-Experiment-Epoch" not in router.production.seen[-1].headers
