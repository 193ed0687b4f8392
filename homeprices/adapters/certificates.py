"""The certificates by which HTTP clients check servers."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def certificates() -> ssl.SSLContext:
    """Return the TLS context that all HTTP clients of this process share.

    A client without it reads the certificates, also for plain HTTP, which takes 37 ms of processor time.
    """
    return httpx.create_ssl_context()
