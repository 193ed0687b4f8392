"""The caller of a request: visitor, network, assignment and request id, from the headers of trusted networks.

Headers of other networks are ignored, otherwise a visitor could choose a variant or a network.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from homeprices.errors import InvalidInput
from homeprices.keys.key_check import VerifiedKey
from homeprices.names import PLACE_HEADER, Variant
from homeprices.predictions.identifiers import NetworkHash, VisitorHash
from homeprices.pricing.features import place_header
from homeprices.pricing.inputs import LOCATION
from homeprices.settings import Settings

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_LONGEST_VISITOR_ID = 128
_LARGEST_EPOCH = 2**31 - 1
_ADDRESSES_KEPT = 4096
_LONGEST_FORWARDED = 256  # characters of X-Forwarded-For that are read, from its end

NO_SCOPES: frozenset[str] = frozenset()

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of one request. `visitor` and `network` are keyed hashes.

    `trusted`: the request came from a trusted network, if only through the router. `insider`: so does the visitor, who
    may know variant and version. `returning`: the visitor's cookie came with the request, or a trusted network named
    the visitor. `place`: the header `X-Home-Place` of a request in a trial of some places, else None. `fallback`: the
    assigned variant could not answer. `key`: the id of the API key. `scopes`: what it may do. `key_problem`: why it is
    refused.
    """

    trusted: bool
    request_id: str
    insider: bool = False
    network: str | None = None
    visitor: str | None = None
    returning: bool = False
    assigned_variant: Variant | None = None
    epoch: int | None = None
    place: str | None = None
    fallback: bool = False
    signature: str | None = None  # of the cookie that the router may set for a new visitor
    key: str | None = None
    scopes: frozenset[str] = NO_SCOPES
    key_problem: str | None = None

    def require_stated_place(self, location: str) -> None:
        """Raise InvalidInput if the header names another place than the home has.

        Otherwise a visitor could name a place of the trial, send a home in another place, and compare its price with
        production's. So the visitor would learn the variant, and could then join the experiment in one variant only.
        """
        if self.place is not None and self.place.casefold() != place_header(location).casefold():
            raise InvalidInput({LOCATION: f"{location[:100]!r} is not the place that {PLACE_HEADER} states"})

    @property
    def unblinded(self) -> bool:
        """Whether answers name variant and version: to trusted networks, and to keys."""
        return self.insider or self.key is not None


KeyCheck = Callable[[str], VerifiedKey | str | None]
"""Return the key of an `Authorization` header, or why it is refused; None for a header that is for another program."""


def open_callers(settings: Settings, check_key: KeyCheck | None = None) -> Callable[[Mapping[str, Any]], Caller]:
    """Return a function that reads the caller of a request from its WSGI environment.

    Without `check_key`, keys are ignored.
    """
    read = _reader(settings)
    if check_key is None:
        return read

    def read_with_key(headers: Mapping[str, Any]) -> Caller:
        authorization = headers.get("HTTP_AUTHORIZATION")
        if authorization is None:
            return read(headers)
        found = check_key(authorization)
        if isinstance(found, VerifiedKey):
            return read(headers, found.id, found.scopes)
        return read(headers, key_problem=found)

    return read_with_key


def _reader(settings: Settings) -> Callable[..., Caller]:
    visitor_hash = VisitorHash(settings.visitor_key.get_secret_value().encode())
    origin_of = _origins(settings)

    def read(
        headers: Mapping[str, Any],
        key: str | None = None,
        scopes: frozenset[str] = NO_SCOPES,
        key_problem: str | None = None,
    ) -> Caller:
        trusted, insider, network = origin_of(headers.get("REMOTE_ADDR", ""), headers.get("HTTP_X_FORWARDED_FOR", ""))
        if not trusted:
            return Caller(
                trusted=False,
                request_id=_new_request_id(),
                network=network,
                key=key,
                scopes=scopes,
                key_problem=key_problem,
            )
        visitor = headers.get("HTTP_X_VISITOR_ID", "")
        cookie_key = headers.get("HTTP_X_VISITOR_KEY")
        request_id = headers.get("HTTP_X_REQUEST_ID", "")
        return Caller(
            trusted=True,
            request_id=request_id if _REQUEST_ID.fullmatch(request_id) else _new_request_id(),
            insider=insider,
            network=network,
            visitor=visitor_hash(visitor) if 0 < len(visitor) <= _LONGEST_VISITOR_ID else None,
            returning=bool(visitor) and headers.get("HTTP_X_VISITOR_NEW") != "1",
            assigned_variant=_variant(headers.get("HTTP_X_ASSIGNED_VARIANT")),
            epoch=_epoch(headers.get("HTTP_X_EXPERIMENT_EPOCH", "")),
            place=headers.get("HTTP_X_EXPERIMENT_PLACE"),
            fallback=headers.get("HTTP_X_VARIANT_FALLBACK") == "1",
            signature=signature(visitor, cookie_key) if cookie_key else None,
            key=key,
            scopes=scopes,
            key_problem=key_problem,
        )

    return read


def _origins(settings: Settings) -> Callable[[str, str], tuple[bool, bool, str | None]]:
    """Return a function: whether the peer and the visitor are in trusted networks, and a keyed hash of the visitor's.

    It takes the address of the peer and `X-Forwarded-For`. The visitor is the last address there that no trusted
    network has vouched for, as in Nginx (`real_ip_recursive`). The hash is None without a readable address.
    """
    networks = [ip_network(network) for network in settings.networks]
    network_hash = NetworkHash(settings.visitor_key.get_secret_value().encode())

    def is_trusted(address: Address | None) -> bool:
        return address is not None and any(address in network for network in networks)

    @lru_cache(maxsize=_ADDRESSES_KEPT)
    def origin_of(peer: str, forwarded: str) -> tuple[bool, bool, str | None]:
        address = _address(peer)
        trusted = is_trusted(address)
        hops = forwarded.split(",") if forwarded else []
        while hops and is_trusted(address):
            address = _address(hops.pop().strip())
        return trusted, is_trusted(address), None if address is None else network_hash(address)

    return lambda peer, forwarded: origin_of(peer, forwarded[-_LONGEST_FORWARDED:])


def _address(text: str) -> Address | None:
    """Return an address, an IPv4-mapped one as IPv4; None for a text that is none, such as that of a Unix socket."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


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
