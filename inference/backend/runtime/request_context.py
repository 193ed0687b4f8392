"""The caller of a request: visitor, assignment and request id, from the headers of trusted networks.

Headers of other networks are ignored, otherwise a visitor could choose a variant.
"""

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
    """The caller of one request. `visitor` is a keyed hash. `fallback`: the assigned variant could not answer."""

    trusted: bool
    request_id: str
    visitor: str | None = None
    assigned_variant: Variant | None = None
    epoch: int | None = None
    fallback: bool = False
    signature: str | None = None  # of the cookie that the router sets for a new visitor


def open_callers(settings: Settings) -> Callable[[Mapping[str, Any]], Caller]:
    """Return a function that reads the caller of a request from its WSGI environment."""
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
    trusted = [ip_network(network) for network in networks]

    @lru_cache(maxsize=_ADDRESSES_KEPT)
    def is_trusted(address: str) -> bool:
        try:
            parsed_address = ip_address(address)
        except ValueError:  # a Unix socket has no address
            return False
        plain = getattr(parsed_address, "ipv4_mapped", None) or parsed_address
        return any(plain in network for network in trusted)

    return is_trusted


def _variant(value: str | None) -> Variant | None:
    if value == "production":
        return "production"
    return "candidate" if value == "candidate" else None


def _epoch(value: str) -> int | None:
    """Return the epoch of a running experiment, which is at least 1."""
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(_LARGEST_EPOCH))):
        return None
    epoch = int(value)
    return epoch if 0 < epoch <= _LARGEST_EPOCH else None


def _new_request_id() -> str:
    return uuid.uuid4().hex


def signature(visitor: str, key: str) -> str:
    """Return the signature of a visitor's cookie: 22 characters of URL-safe base64, without padding.

    Nginx verifies it (`secure_link_md5 "$cookie_id key"`) but cannot create one. So the service signs the id of a new
    visitor with the key that the router sends along. MD5 is the only hash of that module. The key follows an id of
    fixed length, so a signature does not help to forge that of another id.
    """
    digest = hashlib.md5(f"{visitor} {key}".encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
