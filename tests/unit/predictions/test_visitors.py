import hashlib
import hmac
from ipaddress import ip_address

import pytest

from homeprices.predictions.identifiers import NetworkHash, VisitorHash


def test_it_is_hmac_sha256_under_the_key() -> None:
    expected = hmac.new(b"key", b"visitor", hashlib.sha256).hexdigest()[:32]
    assert VisitorHash(b"key")("visitor") == expected


def test_the_same_visitor_is_the_same_and_another_key_makes_another() -> None:
    one, other = VisitorHash(b"one"), VisitorHash(b"other")
    assert one("a") == one("a") != one("b")
    assert one("a") != other("a")


@pytest.mark.parametrize(
    ("one", "another", "same"),
    [
        ("203.0.113.1", "203.0.113.254", True),
        ("203.0.113.1", "203.0.112.1", False),
        ("203.0.113.1", "::ffff:203.0.113.9", True),
        ("2001:db8:1::1", "2001:db8:1:ffff:ffff::", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("::1", "0.0.0.1", False),
    ],
)
def test_a_network_is_24_bits_of_ipv4_and_48_of_ipv6(one: str, another: str, same: bool) -> None:
    network_hash = NetworkHash(b"key")
    assert (network_hash(ip_address(one)) == network_hash(ip_address(another))) == same


def test_the_hash_of_a_network_needs_the_key_and_is_no_visitors_hash() -> None:
    address = ip_address("203.0.113.1")
    found = NetworkHash(b"key")(address)
    assert len(found) == 16
    assert found != NetworkHash(b"other")(address)
    assert found not in VisitorHash(b"key")("4:cb0071")
