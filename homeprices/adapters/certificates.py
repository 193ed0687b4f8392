"""The certificates by which HTTP clients check servers."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def certificates() -> ssl.SSLContext:
    """Return the TLS context of this process's HTTP clients.

    Each client would read the certificates again, also one of plain HTTP: 38 ms of processor time.
    """
    return httpx.create_ssl_context()
