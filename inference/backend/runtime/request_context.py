"""Who asks. Only trusted networks are believed what they say of a visitor, else anybody could choose an arm."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from homeprices.names import Variant
from homeprices.predictions.identifiers import VisitorHash
from homeprices.settings import Settings

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_LONGEST_VISITOR_ID = 128
_LARGEST_EPOCH = 2**31 - 1
_ADDRESSES_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's origin. `visitor` is a keyed hash; `fallback`: another arm was to answer and could not."""

    trusted: bool
    request_id: str
    visitor: str | None = None
    assigned_variant: Variant | None = None
    epoch: int | None = None
    fallback: bool = False
    signature: str | None = None  # of the cookie that the router gives to a visitor who is new


def open_callers(settings: Settings) -> Callable[[Mapping[str, Any]], Caller]:
    """What reads the caller of a request out of its WSGI environment."""
    visitor_hash = VisitorHash(settings.visitor_key.get_secret_value().encode())
    is_trusted = _trust(settings.networks)

    def read(headers: Mapping[str, Any]) -> Caller:
        if not is_trusted(headers.get("REMOTE_ADDR", "")):
            return Caller(trusted=False, request_id=_new_request_id())
        visitor = headers.get("HTTP_X_VISITOR_ID", "")
        key = headers.get("HTTP_X_VISITOR_KEY")
        request_id = headers.get("HTTP_X_REQUEST_ID", "")
        return Caller(
            trusted=True,
            request_id=request_id if _REQUEST_ID.fullmatch(request_id) else _new_request_id(),
            visitor=visitor_hash(visitor) if 0 < len(visitor) <= _LONGEST_VISITOR_ID else None,
            assigned_variant=_variant(headers.get("HTTP_X_ASSIGNED_VARIANT")),
            epoch=_epoch(headers.get("HTTP_X_EXPERIMENT_EPOCH", "")),
            fallback=headers.get("HTTP_X_VARIANT_FALLBACK") == "1",
            signature=signature(visitor, key) if key else None,
        )

    return read


def _trust(networks: list[str]) -> Callable[[str], bool]:
    parsed = [ip_network(network) for network in networks]

    @lru_cache(maxsize=_ADDRESSES_KEPT)
    def is_trusted(address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:  # a Unix socket has no address
            return False
        plain = getattr(found, "ipv4_mapped", None) or found
        return any(plain in network for network in parsed)

    return is_trusted


def _variant(value: str | None) -> Variant | None:
    if value == "production":
        return "production"
    return "candidate" if value == "candidate" else None


def _epoch(value: str) -> int | None:
    """The epoch of a running experiment; the first is 1."""
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(_LARGEST_EPOCH))):
        return None
    epoch = int(value)
    return epoch if 0 < epoch <= _LARGEST_EPOCH else None


def _new_request_id() -> str:
    return uuid.uuid4().hex


# The signature of a visitor's cookie, as the router's Nginx checks it (`secure_link_md5 "$cookie_id key"`).
#
# Nginx can check it and cannot make one, so the service does for a new visitor, with the key that the router sends
# along. MD5 is what Nginx knows; the key follows an id of fixed length, so a signature says nothing of another id.


def signature(visitor: str, key: str) -> str:
    """22 characters of base64, for URLs, without padding."""
    digest = hashlib.md5(f"{visitor} {key}".encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
