"""Visitors in the log: a keyed hash, the same for the same visitor, of no use to who has the log without the key."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeprices.settings import Settings

HASH_HEX_DIGITS = 32  # 128 bits: no two visitors meet by chance


class VisitorHash:
    """HMAC-SHA256 (RFC 2104) of a visitor id under the key of this installation."""

    def __init__(self, key: bytes) -> None:
        self._state = hmac.new(key, digestmod=hashlib.sha256)  # the key is worked in once, not at every request

    def __call__(self, visitor: str) -> str:
        """The hash of a visitor id, as hex."""
        state = self._state.copy()
        state.update(visitor.encode())
        return state.hexdigest()[:HASH_HEX_DIGITS]


def hashed_testers(settings: Settings) -> frozenset[str]:
    """The visitors of `HOMEPRICES_TESTERS` as the log knows them: they are no part of an experiment."""
    visitor_hash = VisitorHash(settings.visitor_key.get_secret_value().encode())
    return frozenset(visitor_hash(tester) for tester in settings.tester_ids)
