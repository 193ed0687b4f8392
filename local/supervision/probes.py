"""Readiness probes: each looks once and says in one line what is missing."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping

import psycopg2

from local.ports import LOOPBACK
from local.supervision.service_spec import Probe

LOOK_SECONDS = 3.0
"""Longest that one look may take."""

# A proxy of the user's environment must not answer for a server on this machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> bytes:
    """The answer of a server on this machine. Raises OSError (HTTPError for a status of 400 and above)."""
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}))  # noqa: S310
    with _opener.open(request, timeout=LOOK_SECONDS) as answer:
        content: bytes = answer.read()
    return content


def answers(url: str) -> Probe:
    """Ready when `url` answers with a status below 400."""

    def look(_started: float) -> str | None:
        try:
            fetch(url)
        except urllib.error.HTTPError as error:
            return f"{url} answers {error.code}"
        except (OSError, http.client.HTTPException) as error:
            return f"{url}: {getattr(error, 'reason', error)}"
        return None

    return look


def postgres(port: int, user: str, password: str, database: str) -> Probe:
    """Ready when PostgreSQL answers a query."""

    def look(_started: float) -> str | None:
        try:
            connection = psycopg2.connect(
                host=LOOPBACK,
                port=port,
                user=user,
                password=password,
                dbname=database,
                connect_timeout=int(LOOK_SECONDS),
            )
            connection.close()
        except psycopg2.Error as error:
            return str(error).strip().splitlines()[-1] if str(error).strip() else "no connection"
        return None

    return look
