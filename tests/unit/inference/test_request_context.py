import base64
import hashlib
from ipaddress import ip_address
from typing import Any

import pytest
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from homeprices.errors import InvalidInput
from homeprices.predictions.identifiers import NetworkHash, VisitorHash
from homeprices.settings import Settings, load_settings
from inference.backend.runtime.request_context import Caller, open_callers

SETTINGS = load_settings({"HOMEPRICES_VISITOR_KEY": "key", "TRUSTED_NETWORKS": "10.1.0.0/16,::1/128"}, ())
FROM_ROUTER: dict[str, Any] = {
    "X-Visitor-Id": "ab" * 16,
    "X-Assigned-Variant": "candidate",
    "X-Experiment-Epoch": "4",
    "X-Variant-Fallback": "1",
    "X-Request-ID": "trace-12345678",
}


def network(address: str) -> str:
    return NetworkHash(b"key")(ip_address(address))


def named(header: str, value: str) -> dict[str, Any]:
    return {header: value}


def caller(address: str = "10.1.2.3", settings: Settings = SETTINGS, **headers: Any) -> Caller:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    environ = EnvironBuilder(headers=Headers(sent), environ_base={"REMOTE_ADDR": address}).get_environ()
    return open_callers(settings)(environ)


def test_headers_of_a_trusted_network_are_read_and_the_visitor_is_hashed() -> None:
    assert caller(**FROM_ROUTER) == Caller(
        trusted=True,
        request_id="trace-12345678",
        insider=True,
        network=network("10.1.2.3"),
        returning=True,
        visitor=VisitorHash(b"key")("ab" * 16),
        assigned_variant="candidate",
        epoch=4,
        fallback=True,
    )


def test_a_new_visitors_cookie_is_signed_with_the_routers_key_as_nginx_checks_it() -> None:
    visitor = "ab" * 16
    expected = hashlib.md5(f"{visitor} key of the router".encode()).digest()
    found = caller(**FROM_ROUTER, X_Visitor_Key="key of the router").signature
    assert found is not None
    assert base64.urlsafe_b64decode(found + "==") == expected
    assert caller("192.0.2.1", **FROM_ROUTER, X_Visitor_Key="key of the router").signature is None


@pytest.mark.parametrize("address", ["10.2.0.1", "192.0.2.1", "2001:db8::1", ""])
def test_headers_of_other_networks_are_ignored(address: str) -> None:
    found = caller(address, **FROM_ROUTER)
    assert (found.trusted, found.visitor, found.assigned_variant, found.epoch, found.fallback) == (
        False,
        None,
        None,
        None,
        False,
    )
    assert found.request_id != "trace-12345678"


@pytest.mark.parametrize("address", ["::1", "::ffff:10.1.2.3"])
def test_addresses_of_both_kinds_are_recognised(address: str) -> None:
    assert caller(address).trusted


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Visitor-Id", "x" * 129),
        ("X-Visitor-Id", ""),
        ("X-Assigned-Variant", "both"),
        ("X-Experiment-Epoch", "-1"),
        ("X-Experiment-Epoch", "0"),
        ("X-Experiment-Epoch", "2.5"),
        ("X-Experiment-Epoch", "99999999999"),
        ("X-Experiment-Epoch", "2147483648"),
        ("X-Variant-Fallback", "yes"),
    ],
)
def test_a_malformed_header_is_ignored(header: str, value: str) -> None:
    found = caller(**named(header, value))
    assert (found.visitor, found.assigned_variant, found.epoch, found.fallback) == (None, None, None, False)


@pytest.mark.parametrize("value", ["", "x" * 65, "a b", "a\u00e9"])
def test_a_request_id_that_is_not_safe_to_log_is_replaced(value: str) -> None:
    assert len(caller(**named("X-Request-ID", value)).request_id) == 32


def test_assigned_to_production_differs_from_not_assigned() -> None:
    assert caller(**named("X-Assigned-Variant", "production")).assigned_variant == "production"
    assert caller().assigned_variant is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "visitor"),
    [
        ("10.1.2.3", "203.0.113.9", "203.0.113.9"),
        ("10.1.2.3", "198.51.100.1, 203.0.113.9, 10.1.9.9", "203.0.113.9"),  # what the visitor sent itself comes first
        ("10.1.2.3", "10.1.9.9", "10.1.9.9"),
        ("10.1.2.3", "2001:db8:7::5", "2001:db8:7::5"),
        ("10.1.2.3", "::ffff:203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # this peer may not say who it is
    ],
)
def test_the_network_is_that_of_the_address_which_trusted_networks_name(
    peer: str, forwarded: str, visitor: str
) -> None:
    assert caller(peer, X_Forwarded_For=forwarded).network == network(visitor)


@pytest.mark.parametrize("forwarded", ["unix:", "nobody", "203.0.113.9:", "x" * 5000])
def test_an_unreadable_address_has_no_network(forwarded: str) -> None:
    assert caller(X_Forwarded_For=forwarded).network is None


def test_a_visitor_returns_whose_id_the_router_has_not_just_made() -> None:
    assert caller(**FROM_ROUTER).returning
    assert not caller(**FROM_ROUTER, X_Visitor_New="1").returning
    assert not caller().returning
    assert not caller("192.0.2.1", **FROM_ROUTER).returning


@pytest.mark.parametrize(
    ("peer", "forwarded", "insider"),
    [
        ("10.1.2.3", "", True),
        ("10.1.2.3", "10.1.9.9", True),
        ("10.1.2.3", "203.0.113.9", False),
        ("10.1.2.3", "10.1.9.9, 203.0.113.9", False),
        ("10.1.2.3", "nobody", False),
        ("192.0.2.1", "10.1.9.9", False),
        ("192.0.2.1", "", False),
    ],
)
def test_an_insider_is_in_a_trusted_network_all_the_way(peer: str, forwarded: str, insider: bool) -> None:
    assert caller(peer, X_Forwarded_For=forwarded).insider == insider


@pytest.mark.parametrize("location", ["Whitefield", " WHITEFIELD ", "Whitefield\u200b"])
def test_the_place_that_the_router_was_told_is_that_of_the_home_in_any_spelling(location: str) -> None:
    caller(**FROM_ROUTER, X_Experiment_Place="whitefield").require_stated_place(location)
    caller(**FROM_ROUTER).require_stated_place("Atlantis")  # no trial of some places, so nothing was told


def test_a_home_elsewhere_is_refused_because_its_price_would_show_the_variant_outside_of_the_experiment() -> None:
    told = caller(**FROM_ROUTER, X_Experiment_Place="electronic%20city")
    told.require_stated_place("Electronic  City")
    with pytest.raises(InvalidInput, match="location: 'Whitefield' is not the place that X-Home-Place states"):
        told.require_stated_place("Whitefield")


def test_a_stranger_states_no_place_to_a_service() -> None:
    assert caller("192.0.2.1", **FROM_ROUTER, X_Experiment_Place="whitefield").place is None
