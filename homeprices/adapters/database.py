"""The homeprices database: connections with every timeout set, and schema migrations.

Every statement has a deadline on the client side too. libpq waits without limit. Keepalives detect a dead machine and
`statement_timeout` a slow statement, but neither detects a server or proxy that accepts a statement and never answers.

`homeprices database upgrade` can be repeated, and several processes may run it at the same time.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from psycopg2 import OperationalError
from psycopg2.extensions import POLL_OK, POLL_READ, connection, set_wait_callback
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from homeprices.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from alembic.config import Config

    from homeprices.settings import Settings


CONNECT_TIMEOUT_SECONDS = 3
STATEMENT_TIMEOUT_SECONDS = 5
SILENCE_SECONDS = 2.0
"""How long after the statement timeout the client still waits for the answer before it gives the server up."""

POOL_SIZE = 4
POOL_OVERFLOW = 4
POOL_TIMEOUT_SECONDS = 2
# Without this, the kernel takes a quarter of an hour to give up on data that a vanished server never acknowledges.
UNANSWERED_MILLISECONDS = 5_000
MIGRATION_LOCK = 7_311_001
MIGRATION_LOCK_TIMEOUT_SECONDS = 120

MIGRATIONS = Path(__file__).parents[1] / "migrations"


def open_engine(settings: Settings, *, statement_timeout_seconds: float = STATEMENT_TIMEOUT_SECONDS) -> Engine:
    """Return a bounded pool of connections to the settings' database. Connects on first use."""
    engine = create_engine(
        settings.database_url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=_connect_arguments(statement_timeout_seconds),
    )
    event.listen(engine, "checkin", _end_raised_timeout)
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Open a transaction and commit it at the end. Raises DatabaseUnavailable when PostgreSQL does not answer."""
    with _translated(engine), engine.begin() as connection:
        yield connection


def raise_statement_timeout(connection: Connection, seconds: float) -> None:
    """Allow each statement of this transaction so many seconds, on the server and on the client side."""
    connection.execute(text(f"SET LOCAL statement_timeout = '{seconds}s'"))
    driver = connection.connection.driver_connection
    if isinstance(driver, TimeoutConnection):
        driver.answer_seconds = seconds + SILENCE_SECONDS


def _end_raised_timeout(driver: connection | None, _: object) -> None:
    """Give a connection that returns to the pool the timeout of its engine again; None is one that was closed."""
    if isinstance(driver, TimeoutConnection):
        vars(driver).pop("answer_seconds", None)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a transaction in which all queries see the state at the first one. Raises DatabaseUnavailable."""
    with transaction(engine.execution_options(isolation_level="REPEATABLE READ")) as connection:
        yield connection


def upgrade(settings: Settings, revision: str = "head") -> str:
    """Migrate the schema to `revision` and return the revision that it then has. Raises DatabaseUnavailable."""
    from alembic import command

    with _migrating(settings) as (connection, config):
        command.upgrade(config, revision)
        return _current(connection)


def current_revision(settings: Settings) -> str:
    """Return the revision of the schema, or an empty string if there is none. Raises DatabaseUnavailable."""
    engine = _unpooled(settings)
    with _translated(engine), engine.connect() as connection:
        return _current(connection)


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    """Translate server errors to DatabaseUnavailable; errors of a value (DataError, IntegrityError) pass through."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable(f"no free connection to the database {_place(engine)}") from error
    except DBAPIError as error:
        if not _is_away(error):
            raise
        reason = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
        raise DatabaseUnavailable(f"the database {_place(engine)} does not answer: {reason[0]}") from error


# SQLSTATE classes: connection, resources, operator intervention (shutdown, statement timeout), system error. Among the
# states is a missing table, because then `upgrade` has not run yet.
_AWAY_CLASSES = ("08", "53", "57", "58", "XX")
_AWAY_STATES = ("42P01", "3D000", "40001", "40P01", "55P03", "25006")


def _is_away(error: DBAPIError) -> bool:
    state = getattr(error.orig, "pgcode", None)
    if state is None:  # the connection failed before the server could send a reason
        return error.connection_invalidated or type(error).__name__ in {
            "OperationalError",
            "InterfaceError",
        }
    return state.startswith(_AWAY_CLASSES) or state in _AWAY_STATES


def _connect_arguments(statement_timeout_seconds: float) -> dict[str, object]:
    milliseconds = round(statement_timeout_seconds * 1000)
    answer_seconds = statement_timeout_seconds + SILENCE_SECONDS if statement_timeout_seconds else None
    return {
        "connection_factory": connection_with_timeout(CONNECT_TIMEOUT_SECONDS, answer_seconds),
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "homeprices",
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": UNANSWERED_MILLISECONDS,
        "options": f"-c timezone=UTC -c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout=30000",
    }


def _unpooled(settings: Settings) -> Engine:
    """Return an engine without a statement timeout, because a migration may take long."""
    return create_engine(settings.database_url, poolclass=NullPool, connect_args=_connect_arguments(0))


@contextmanager
def _migrating(settings: Settings) -> Iterator[tuple[Connection, Config]]:
    """Open a connection that holds the migration lock. PostgreSQL releases the lock when the connection ends."""
    from alembic.config import Config

    engine = _unpooled(settings)
    with _translated(engine), engine.connect() as connection:
        connection.execute(text(f"SET statement_timeout = '{MIGRATION_LOCK_TIMEOUT_SECONDS}s'"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text("SET statement_timeout = 0"))
        connection.commit()
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        yield connection, config
        connection.commit()


def _current(connection: Connection) -> str:
    from alembic.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision() or ""


def _place(engine: Engine) -> str:
    url = engine.url
    return f"{url.database} at {url.host}:{url.port}"


class TimeoutConnection(connection):
    """A connection that gives up after `connect_seconds` and, for each statement, `answer_seconds` (None: never)."""

    connect_seconds: ClassVar[float]
    answer_seconds: float | None
    connected = False


def connection_with_timeout(connect_seconds: float, answer_seconds: float | None) -> type[TimeoutConnection]:
    """Return a `connection_factory` for psycopg2. Installs `_wait` for all connections of this process.

    psycopg2 cannot COPY with a wait callback.
    """
    set_wait_callback(_wait)
    limits = {"connect_seconds": connect_seconds, "answer_seconds": answer_seconds}
    return type("ConfiguredTimeoutConnection", (TimeoutConnection,), limits)


def _wait(waiting: connection) -> None:
    """Wait until one command has completed. An exception makes psycopg2 close the connection."""
    limit = _limit(waiting)
    deadline = None if limit is None else time.monotonic() + limit
    while (state := waiting.poll()) != POLL_OK:
        poller = select.poll()
        poller.register(waiting.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        left = None if deadline is None else max(0.0, 1000 * (deadline - time.monotonic()))
        if not poller.poll(left):
            raise OperationalError(f"no answer within {limit:g} seconds")
    if isinstance(waiting, TimeoutConnection):
        waiting.connected = True


def _limit(waiting: connection) -> float | None:
    if not isinstance(waiting, TimeoutConnection):
        return None
    return waiting.answer_seconds if waiting.connected else waiting.connect_seconds
