"""The check of an Authorization header from memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.keys import key_ring, key_token
from homeprices.keys.key_check import EXPIRED, MALFORMED, REVOKED, UNKNOWN, KeyCheck, VerifiedKey
from homeprices.keys.key_ring import KeyRing, NewKey
from homeprices.keys.key_token import new_key

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Stand:
    """A bucket, a key in it, and a check at a time that the test sets."""

    def __init__(self) -> None:
        self.bucket = MemoryBucket()
        self.now = NOW
        self.made: NewKey = key_ring.create(
            self.bucket, ["predict", "operate"], "20/s", DAY, "person:me", clock=lambda: NOW
        )
        self.check = KeyCheck(clock=lambda: self.now.timestamp())
        self.read()

    def key_id(self, text: str) -> str:
        """Return the id of a key that is valid."""
        found = self.check(f"Bearer {text}")
        assert isinstance(found, VerifiedKey)
        return found.id

    def read(self) -> None:
        self.check.use(key_ring.read(self.bucket))


@pytest.fixture
def stand() -> Stand:
    """One key."""
    return Stand()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_valid_key_has_its_scopes(stand: Stand, scheme: str) -> None:
    assert stand.check(f"{scheme} {stand.made.text}") == (stand.made.key.id, frozenset({"predict", "operate"}))


def test_a_key_ends_at_its_time_without_a_new_ring(stand: Stand) -> None:
    stand.now = NOW + DAY
    assert stand.check(f"Bearer {stand.made.text}") == EXPIRED


def test_both_texts_of_a_rotated_key_work_until_one_ends(stand: Stand) -> None:
    second = key_ring.rotate(stand.bucket, stand.made.key.id, DAY / 2, clock=lambda: NOW)
    stand.read()
    assert [stand.key_id(one.text) for one in (stand.made, second)] == [stand.made.key.id] * 2
    stand.now = NOW + DAY / 2
    assert stand.check(f"Bearer {stand.made.text}") == EXPIRED
    assert stand.key_id(second.text) == stand.made.key.id


def test_only_the_owner_learns_that_a_key_was_revoked(stand: Stand) -> None:
    key_ring.revoke(stand.bucket, stand.made.key.id, "person:me", clock=lambda: NOW)
    stand.read()
    assert stand.check(f"Bearer {stand.made.text}") == REVOKED
    assert stand.check(f"Bearer {new_key(stand.made.key.id)}") == UNKNOWN


def test_another_secret_of_the_same_id_and_tag_is_unknown(stand: Stand) -> None:
    known = stand.made.text.rsplit("_", 1)[0]
    forged = next(
        text for n in range(10**6) if (text := _with_checksum(f"{known}_{n:043}")) and text != stand.made.text
    )
    assert key_token.read_key(forged) is not None, "it is well-formed"
    assert stand.check(f"Bearer {forged}") == UNKNOWN


def _with_checksum(body: str) -> str:
    return body + key_token._checksum(body)


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "bearer x", "Basic {key}", "Basic eDp5,Bearer {key}", "{key}",
      "Bearer  {key}", "Bearer {key} ", "Bearer {key},{key}",
     "Bearer {key}, Bearer {key}", "Token {key}", "Bearer {key}\x00", "Bearer " + "x" * 100_000, "Bearer hp_"],
)  # fmt: skip
def test_anything_else_is_malformed(stand: Stand, header: str) -> None:
    assert stand.check(header.replace("{key}", stand.made.text)) == MALFORMED


@pytest.mark.parametrize("header", ["", "Basic dXNlcjpwYXNz", "Digest username=x", "Negotiate x", "Bearers"])
def test_the_header_of_another_scheme_is_no_key(stand: Stand, header: str) -> None:
    assert stand.check(header) is None


def test_an_empty_ring_knows_no_key(stand: Stand) -> None:
    stand.check.use(KeyRing())
    assert stand.check(f"Bearer {stand.made.text}") == UNKNOWN
