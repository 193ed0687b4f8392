"""A deadline for every answer of PostgreSQL, kept on this side: a server that falls silent keeps nobody waiting.

libpq waits without end. Keepalives notice a machine that is gone, and `statement_timeout` a statement that takes long;
neither notices a server, or a proxy before it, that takes what it is sent and never answers.
"""

from __future__ import annotations

import select
import time
from typing import ClassVar

from psycopg2 import OperationalError
from psycopg2.extensions import POLL_OK, POLL_READ, connection, set_wait_callback


class PatientConnection(connection):
    """A connection that gives up after `connect_seconds` and, for each statement, `answer_seconds` (None: never)."""

    connect_seconds: ClassVar[float]
    answer_seconds: ClassVar[float | None]
    connected = False


def patient(connect_seconds: float, answer_seconds: float | None) -> type[PatientConnection]:
    """What psycopg2 takes as `connection_factory`. From then on this process waits for all connections in `_wait`.

    psycopg2 cannot COPY while it waits in this way.
    """
    set_wait_callback(_wait)
    limits = {"connect_seconds": connect_seconds, "answer_seconds": answer_seconds}
    return type("PatientConnection", (PatientConnection,), limits)


def _wait(waiting: connection) -> None:
    """Wait for the end of one command. An exception makes psycopg2 close the connection."""
    limit = _limit(waiting)
    deadline = None if limit is None else time.monotonic() + limit
    while (state := waiting.poll()) != POLL_OK:
        poller = select.poll()
        poller.register(waiting.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        left = None if deadline is None else max(0.0, 1000 * (deadline - time.monotonic()))
        if not poller.poll(left):
            raise OperationalError(f"no answer within {limit:g} seconds")
    if isinstance(waiting, PatientConnection):
        waiting.connected = True


def _limit(waiting: connection) -> float | None:
    if not isinstance(waiting, PatientConnection):
        return None
    return waiting.answer_seconds if waiting.connected else waiting.connect_seconds
