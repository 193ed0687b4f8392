"""Reference model of assignment: a pure function of salt, visitor and share, equal to the router's Nginx.

Nginx's `split_clients` hashes a string with MurmurHash2 and compares the hash with cumulative bounds in the order of
the variants. The candidate is first, so only its bound moves with the share: a larger share moves visitors from
production to the candidate and never back.
Source: nginx, src/core/ngx_murmurhash.c and src/http/modules/ngx_http_split_clients_module.c.
"""

from __future__ import annotations

from collections.abc import Iterable

from homeprices.names import Variant
from homeprices.release.experiment_record import HUNDREDTHS, hundredths

HASH_LIMIT = 0xFFFFFFFF
_MIX = 0x5BD1E995


def variant_of(salt: str, visitor: str, share: float) -> Variant:
    """Return the variant of `visitor` if the candidate gets `share` percent of the visitors."""
    return "candidate" if position(salt, visitor) < bound(share) else "production"


def unmoved(salt: str, visitor: str, shares: Iterable[float]) -> bool:
    """Return whether `visitor` had the same variant under all of `shares`, in percent."""
    place = position(salt, visitor)
    return len({place < bound(share) for share in shares}) <= 1


def unit(salt: str, visitor: str) -> str:
    """Return the string that is hashed, as in the router."""
    return f"{salt}:{visitor}"


def position(salt: str, visitor: str) -> int:
    """Return the visitor's hash, from 0 to 2^32 - 1. It depends on the salt, never on the share."""
    return murmur_hash2(unit(salt, visitor).encode())


def bound(share: float) -> int:
    """Return the hash below which visitors get the candidate. Raises ValueError for a share outside 0..100 percent."""
    return hundredths(share) * HASH_LIMIT // HUNDREDTHS


def murmur_hash2(data: bytes) -> int:
    """Return the MurmurHash2, 32 bits, seed 0, as in Nginx."""
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
