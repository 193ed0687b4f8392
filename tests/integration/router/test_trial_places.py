"""A trial in some places under real Nginx: which requests are in the experiment, and the headers to the service."""

from __future__ import annotations

import hashlib
import json

from homeprices.names import PLACE_HEADER, Variant
from homeprices.pricing.features import key_of, place_header
from tests.integration.router.client import signed
from tests.integration.router.conftest import Router, running_record
from tests.support.nginx_split import variant_of

TRIED = ("electronic city", "j.p. nagar (7th phase)", "default", "~tilde", "hostnames", "rock'n roll*", "ಬೆಂಗಳೂರು")
ASKED = ("Electronic City", "ELECTRONIC  CITY", "J.P. Nagar (7th Phase)", "Default", "~Tilde", "hostnames",
         "Rock'n Roll*", "ಬೆಂಗಳೂರು", "Whitefield", "p", "Electronic", "Electronic City Phase II", "", "*")  # fmt: skip


def in_some_places(router: Router, share: float = 12.34, epoch: int = 2) -> None:
    record = running_record(share=share, salt="c0ffee", epoch=epoch)
    router.apply_record(record.model_copy(update={"places": TRIED}))


def expected(visitor: str, place: str, share: float) -> Variant:
    """Return the reference choice: production outside of the places."""
    return variant_of("c0ffee", visitor, share) if key_of(place) in TRIED else "production"


def test_five_thousand_visitors_and_places_get_the_variant_that_python_computes(router: Router) -> None:
    in_some_places(router)
    visitor, different = router.visitor(), []
    for number in range(5000):
        visitor.cookie = signed(hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest())
        place = ASKED[number % len(ASKED)]
        reply = visitor.ask("GET", "/api/predict_home_price", **{PLACE_HEADER: place_header(place)})
        if reply.variant != expected(visitor.id, place, 12.34):
            different.append((visitor.id, place))
    assert different == []
    assert {request.headers["X-Experiment-Epoch"] for request in router.candidate.seen} == {"2"}
    assert len(router.candidate.seen) > 100


def test_outside_of_the_places_production_answers_and_the_record_is_of_no_epoch(router: Router) -> None:
    in_some_places(router, share=50)
    visitor = router.visitor_of("candidate", **{PLACE_HEADER: "electronic%20city"})
    seen = router.candidate.seen[-1].headers
    assert (seen["X-Experiment-Epoch"], seen["X-Experiment-Place"]) == ("2", "electronic%20city")
    for headers in ({}, {PLACE_HEADER: "whitefield"}, {PLACE_HEADER: "Electronic City"}):
        assert visitor.predict(**headers).variant == "production"
        seen = router.production.seen[-1].headers
        assert seen["X-Assigned-Variant"] == "production"
        assert {"X-Experiment-Epoch", "X-Experiment-Place"} & set(seen) == set()
    lines = [json.loads(line) for line in router.log_with('"epoch":null').splitlines()]
    priced = {(line["assigned"], line["epoch"]) for line in lines if line["path"].endswith("price")}
    assert priced - {("production", 2)} == {("candidate", 2), ("production", None)}


def test_headers_of_a_client_do_not_reach_the_service_as_place_or_epoch(router: Router) -> None:
    claim = {"X-Experiment-Place": "electronic%20city", "X-Experiment-Epoch": "2"}
    in_some_places(router, share=50)
    router.visitor().arrive().predict(**claim)
    assert not set(claim) & set(router.production.seen[-1].headers)


def test_the_whole_city_is_tried_again_when_the_places_are_gone(router: Router) -> None:
    in_some_places(router, share=50)
    router.apply_record(running_record(share=50, salt="c0ffee", epoch=3))
    router.visitor_of("candidate")
    seen = router.candidate.seen[-1].headers
    assert seen["X-Experiment-Epoch"] == "3"
    assert "X-Experiment-Place" not in seen
