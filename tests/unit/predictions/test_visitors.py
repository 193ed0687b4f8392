import hashlib
import hmac

from homeprices.predictions.identifiers import VisitorHash


def test_it_is_hmac_sha256_under_the_key() -> None:
    expected = hmac.new(b"key", b"visitor", hashlib.sha256).hexdigest()[:32]
    assert VisitorHash(b"key")("visitor") == expected


def test_the_same_visitor_is_the_same_and_another_key_makes_another() -> None:
    one, other = VisitorHash(b"one"), VisitorHash(b"other")
    assert one("a") == one("a") != one("b")
    assert one("a") != other("a")
