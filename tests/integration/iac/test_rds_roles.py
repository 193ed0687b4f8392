"""The databases' roles, made by a master that is no superuser, as RDS's master is none."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from local.ports import LOOPBACK
from local.services.postgres import connect, installation, postgres
from local.supervision import accounts
from tests.infrastructure.iac.graph import ROOT
from tests.support.free_ports import free_ports
from tests.support.servers import clean_environment, running

MASTER, PASSWORD = "master", "of-rds"
PSQL = Path("bin/psql")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Port of a PostgreSQL whose master may create roles and databases, and no more; and the program psql."""
    folder = tmp_path_factory.mktemp("rds")
    home, port, password = folder / "postgres", free_ports(1)[0], secrets.token_hex(12)
    where = installation(home)
    try:
        with running(postgres(where, port, password, [], clean_environment(), durable=False), folder / "log"):
            connection = connect(port, password)
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE ROLE {MASTER} LOGIN CREATEDB CREATEROLE PASSWORD '{PASSWORD}'")
                cursor.execute(f"ALTER DATABASE postgres OWNER TO {MASTER}")
                cursor.execute(f"GRANT pg_monitor TO {MASTER} WITH ADMIN OPTION")
            connection.close()
            yield port, where.programs / "psql"
    finally:
        accounts.remove(home)


def run(server: tuple[int, Path], sql: Path, **passwords: str) -> subprocess.CompletedProcess[str]:
    port, psql = server
    environment = {
        **clean_environment(),
        "PGHOST": LOOPBACK,
        "PGPORT": str(port),
        "PGUSER": MASTER,
        "PGPASSWORD": PASSWORD,
        **{f"{name}_PASSWORD": "first" for name in ("AIRFLOW", "MLFLOW", "HOMEPRICES", "MONITORING")},
        **passwords,
    }
    command = [str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-f", str(sql)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_roles_and_databases_are_made_and_made_again(server: tuple[int, Path]) -> None:
    sql = ROOT / "iac/host/databases.rds.sql"
    first = run(server, sql)
    assert first.returncode == 0, first.stderr
    again = run(server, sql, HOMEPRICES_PASSWORD="second")
    assert again.returncode == 0, again.stderr
    for name, password in (("airflow", "first"), ("mlflow", "first"), ("homeprices", "second")):
        with psycopg2.connect(host=LOOPBACK, port=server[0], user=name, password=password, dbname=name) as connection:
            connection.cursor().execute("CREATE TABLE mine (id int)")
        connection.close()
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(host=LOOPBACK, port=server[0], user="airflow", password="first", dbname="homeprices")


def test_the_file_for_a_superuser_does_not_do(server: tuple[int, Path]) -> None:
    refused = run(server, ROOT / "compose/databases.sql")
    assert refused.returncode != 0
    assert "permission denied" in refused.stderr
