"""Who may see the operations page, and who may act: the check of logs and metrics, and more for an action.

Whoever may read logs may see the page: a trusted network, or an API key with the scope `operate`. An action needs such
a key, or this machine: in a container network every caller of a machine has the address of the gateway, so a trusted
network is not enough. A browser that is led here by another site has neither the origin nor the token of the page.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from werkzeug.datastructures import Headers
from werkzeug.exceptions import Forbidden

from homeprices.keys.key_check import VerifiedKey
from homeprices.settings import Settings
from inference.backend.runtime.access import Access
from inference.backend.runtime.request_context import Caller, KeyCheck, open_callers

SCOPE: Final = "operate"
TOKEN_SECONDS = 3600.0
TOKENS_KEPT = 1_000
_TOKEN = re.compile(r"(\d{1,12})\.([0-9a-f]{16})\.([0-9a-f]{32})")


class AccessControl:
    """The rules of a stack. `check_key` is None where keys are off."""

    def __init__(self, settings: Settings, check_key: KeyCheck | None) -> None:
        self._access, self._check_key = Access(settings.api_keys), check_key
        self._caller_of = open_callers(settings, check_key)

    @property
    def has_keys(self) -> bool:
        """Whether a key can open anything here."""
        return self._check_key is not None

    def authorize(self, environ: Mapping[str, Any]) -> Caller:
        """Return the caller of a request. Raises Unauthorized, Forbidden."""
        caller = self._caller_of(environ)
        self._access.require(caller, SCOPE)
        return caller

    def actor(self, caller: Caller, environ: Mapping[str, Any], typed_key: str = "") -> str | None:
        """Return the name under which this caller acts; None for a caller who may only look.

        `typed_key`: the key that a person has typed into the form. Raises Forbidden for a wrong one.
        """
        if caller.key is not None:
            return f"key {caller.key}"
        if typed_key and self._check_key is not None:
            found = self._check_key(f"Bearer {typed_key}")
            if isinstance(found, VerifiedKey) and SCOPE in found.scopes:
                return f"key {found.id}"
            reason = f"API key {found.id} does not have the scope {SCOPE}" if isinstance(found, VerifiedKey) else found
            raise Forbidden(reason or "this is no API key")
        return "this machine" if is_loopback(environ) else None


def is_loopback(environ: Mapping[str, Any]) -> bool:
    """Whether the request and every hop before it came from this machine."""
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
    hops = [environ.get("REMOTE_ADDR", ""), *(forwarded.split(",") if forwarded else ())]
    try:
        return all(ip_address(hop.strip()).is_loopback for hop in hops)
    except ValueError:
        return False


def refuse_other_sites(headers: Headers | Mapping[str, str]) -> None:
    """Raise Forbidden for a request that a page of another origin makes a browser send.

    `X-Forwarded-Host` is the host that the browser asked, as Nginx heard it. No page can choose these headers.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        raise Forbidden("this request comes from another site")
    origin = headers.get("Origin")
    if origin is None:
        return
    asked = headers.get("X-Forwarded-Host") or headers.get("Host")
    if urlsplit(origin).netloc.lower() != (asked or "").lower():
        raise Forbidden("this request comes from another origin than the page's")


class Tokens:
    """Tokens that only a reader of the page has. Each is good for one action, for an hour, until a restart."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._secret = clock, secrets.token_bytes(32)
        self._used: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self) -> str:
        """Return a new token."""
        body = f"{int(self._clock())}.{secrets.token_hex(8)}"
        return f"{body}.{self._mark(body)}"

    def redeem(self, token: str) -> None:
        """Use a token. Raises Forbidden for one that is not this page's, too old, or used."""
        match = _TOKEN.fullmatch(token)
        if match is None or not hmac.compare_digest(match[3], self._mark(f"{match[1]}.{match[2]}")):
            raise Forbidden("this form is not of this page, or older than its server; open the page again")
        if self._clock() - int(match[1]) > TOKEN_SECONDS:
            raise Forbidden("this form is older than an hour; open the page again")
        with self._lock:
            if token in self._used:
                raise Forbidden("this form was sent already; open the page again")
            self._used[token] = None
            while len(self._used) > TOKENS_KEPT:
                self._used.popitem(last=False)

    def _mark(self, body: str) -> str:
        return hmac.new(self._secret, body.encode(), hashlib.sha256).hexdigest()[:32]
