"""The check of a request's key, from memory: no server is asked, so it takes microseconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from hmac import compare_digest
from typing import NamedTuple

from homeprices.keys.key_ring import KeyRing
from homeprices.keys.key_token import KEY_LENGTH, PREFIX, read_key

_SCHEME = "bearer "
_LONGEST_HEADER = len(_SCHEME) + KEY_LENGTH
_READ = 1024  # characters of another header, in which a key is searched

MALFORMED = "this is no API key, or a part of one; send it as `Authorization: Bearer hp_...`, once"
UNKNOWN = "this API key is not known"
REVOKED = "this API key was revoked"
EXPIRED = "this API key has expired"


class VerifiedKey(NamedTuple):
    """A key that is valid now."""

    id: str
    scopes: frozenset[str]


class _Entry(NamedTuple):
    key: VerifiedKey
    digests: tuple[tuple[bytes, float], ...]  # with the Unix time when each expires
    revoked: bool


class KeyCheck:
    """The keys of a ring by id. `use` replaces the ring; calls in other threads see the old or the new one."""

    def __init__(self, ring: KeyRing | None = None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self.use(ring or KeyRing())

    def use(self, ring: KeyRing) -> None:
        """Check against this ring from now on."""
        self._entries = {
            key.id: _Entry(
                VerifiedKey(key.id, frozenset(key.scopes)),
                tuple((bytes.fromhex(one.sha256), one.expires_at.timestamp()) for one in key.secrets),
                key.revoked_at is not None,
            )
            for key in ring.keys
        }

    def __call__(self, authorization: str) -> VerifiedKey | str | None:
        """Return the key of an `Authorization` header, or why it is refused; None for another scheme, such as Basic.

        Only whoever sends a whole key learns that it was revoked or has expired; every wrong one is unknown. Other
        schemes are ignored, because browsers send the password of a proxy in front of the form with every request.
        """
        if len(authorization) != _LONGEST_HEADER or authorization[: len(_SCHEME)].lower() != _SCHEME:
            is_meant = (
                PREFIX in authorization[:_READ] or authorization[: len(_SCHEME)].strip().lower() == _SCHEME.strip()
            )
            return MALFORMED if is_meant else None
        token = read_key(authorization[len(_SCHEME) :])
        if token is None:
            return MALFORMED
        entry = self._entries.get(token.id)
        if entry is None:
            return UNKNOWN
        expires = [ends for digest, ends in entry.digests if compare_digest(digest, token.digest)]
        if not expires:
            return UNKNOWN
        if entry.revoked:
            return REVOKED
        return entry.key if self._clock() < expires[0] else EXPIRED
