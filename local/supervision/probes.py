"""Readiness probes: each checks once and describes in one line why a service is not ready."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

import psycopg2

from local.ports import LOOPBACK
from local.supervision.service_spec import Probe

TIMEOUT_SECONDS = 3.0
"""The longest time that one check may take."""


def fetch(
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    context: ssl.SSLContext | None = None,
) -> bytes:
    """Return the response body of a server on this machine. Raises OSError (HTTPError from status 400)."""
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}))  # noqa: S310
    # Without a proxy: one in the user's environment must not answer for a server on this machine.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_SECONDS) as answer:
        content: bytes = answer.read()
    return content


def answers(url: str, context: Callable[[], ssl.SSLContext] | None = None) -> Probe:
    """Return a probe that passes when `url` answers with a status below 400.

    `context` returns the TLS context of a request; it may read files that the start of the service writes.
    """

    def probe(_started: float) -> str | None:
        try:
            fetch(url, context=context() if context else None)
        except urllib.error.HTTPError as error:
            return f"{url} answers {error.code}"
        except (OSError, http.client.HTTPException) as error:
            return f"{url}: {getattr(error, 'reason', error)}"
        return None

    return probe


def postgres(port: int, user: str, password: str, database: str) -> Probe:
    """Return a probe that passes when PostgreSQL accepts a connection."""

    def probe(_started: float) -> str | None:
        try:
            connection = psycopg2.connect(
                host=LOOPBACK,
                port=port,
                user=user,
                password=password,
                dbname=database,
                connect_timeout=int(TIMEOUT_SECONDS),
            )
            connection.close()
        except psycopg2.Error as error:
            return str(error).strip().splitlines()[-1] if str(error).strip() else "no connection"
        return None

    return probe
