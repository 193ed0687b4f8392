"""The arm of a visitor: a pure function of salt, visitor and share, the same here as in the router's Nginx.

Nginx's `split_clients` hashes a string with MurmurHash2 and compares the hash with cumulative bounds in the order in
which the arms are listed. The candidate is listed first, so its bound alone moves with the share: growing the share
takes visitors from production to the candidate and never the other way round.
Source: nginx, src/core/ngx_murmurhash.c and src/http/modules/ngx_http_split_clients_module.c.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from homeprices.release.control_record import HUNDREDTHS, hundredths

Arm = Literal["production", "candidate"]

HASH_LIMIT = 0xFFFFFFFF
_MIX = 0x5BD1E995


def arm_of(salt: str, visitor: str, share: float) -> Arm:
    """The arm of `visitor` when the candidate gets `share` percent of the visitors."""
    return "candidate" if position(salt, visitor) < bound(share) else "production"


def unmoved(salt: str, visitor: str, shares: Iterable[float]) -> bool:
    """Whether `visitor` was in one and the same arm under each of `shares`, in percent."""
    place = position(salt, visitor)
    return len({place < bound(share) for share in shares}) <= 1


def unit(salt: str, visitor: str) -> str:
    """The string that is hashed, in the router as here."""
    return f"{salt}:{visitor}"


def position(salt: str, visitor: str) -> int:
    """Where the visitor stands on the line from 0 to 2^32 - 1. It depends on the salt alone, never on the share."""
    return murmur_hash2(unit(salt, visitor).encode())


def bound(share: float) -> int:
    """The position below which visitors are the candidate's. Raises ValueError for a share outside 0..100 percent."""
    return hundredths(share) * HASH_LIMIT // HUNDREDTHS


def murmur_hash2(data: bytes) -> int:
    """MurmurHash2, 32 bits, seed 0, as Nginx has it."""
    whole = len(data) & ~3
    value = len(data)
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MIX & HASH_LIMIT
        word = (word ^ word >> 24) * _MIX & HASH_LIMIT
        value = value * _MIX & HASH_LIMIT ^ word
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * _MIX & HASH_LIMIT
    value = (value ^ value >> 13) * _MIX & HASH_LIMIT
    return value ^ value >> 15
