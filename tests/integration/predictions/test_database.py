import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from homeprices.adapters import database
from homeprices.cli import main
from homeprices.errors import DatabaseUnavailable
from homeprices.predictions.retention import PARTITION_PREFIX
from homeprices.predictions.tables import ID_BLOCK, metadata, prediction_logs
from homeprices.settings import Settings, load_settings
from tests.chaos.proxy import Fault, proxy_before
from tests.integration.predictions.conftest import database_variables

ROOT = Path(__file__).parents[3]
HEAD = "0005"


def command(settings: Settings, *words: str) -> subprocess.Popen[str]:
    variables = database_variables(settings.database_url)
    return subprocess.Popen(
        [sys.executable, "-m", "homeprices", "database", *words],
        env={"PATH": os.environ["PATH"], **variables},
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def is_no_partition(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or not str(name).startswith(PARTITION_PREFIX)


def test_the_migrations_make_exactly_the_tables_of_the_code(engine: Engine) -> None:
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_name": is_no_partition}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        assert set(inspect(connection).get_sequence_names()) >= {"prediction_id"}
        constraints = {
            name
            for table in metadata.tables
            for name in (
                *(found["name"] for found in inspect(connection).get_check_constraints(table)),
                *(found["name"] for found in inspect(connection).get_unique_constraints(table)),
            )
        }
    expected = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if not str(constraint.name).endswith(("_pkey", "_not_null"))
    }
    assert constraints == expected


def test_two_upgrades_at_once_and_one_more_end_in_the_same_schema(settings: Settings) -> None:
    running = [command(settings, "upgrade") for _ in range(2)]
    results = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0], results
    current = command(settings, "current")
    assert f"revision {HEAD}" in current.communicate(timeout=60)[0]


def test_a_schema_can_be_taken_back_and_made_again(servers, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from alembic import command as alembic_command

    settings = load_settings(database_variables(servers.postgres("taken_back")), ())
    assert database.current_revision(settings) == ""
    assert database.upgrade(settings) == HEAD
    with database._migrating(settings) as (_connection, config):
        alembic_command.downgrade(config, "base")
    assert database.current_revision(settings) == ""
    assert database.upgrade(settings) == HEAD


def test_a_block_of_ids_is_as_large_as_the_code_believes(engine: Engine) -> None:
    with engine.connect() as connection:
        first, second = (connection.execute(text("SELECT nextval('prediction_id')")).scalar_one() for _ in range(2))
    assert second - first == ID_BLOCK


def test_a_closed_port_is_a_typed_error_that_names_the_address_and_not_the_password() -> None:
    settings = load_settings({"POSTGRES_PORT": "1", "POSTGRES_PASSWORD": "s3cr3t-word"}, ())
    with (
        pytest.raises(DatabaseUnavailable, match=r"homeprices at 127\.0\.0\.1:1") as error,
        database.transaction(database.open_engine(settings)),
    ):
        pass
    assert "s3cr3t-word" not in str(error.value)


def test_a_database_without_tables_is_not_ready_rather_than_broken(servers) -> None:  # type: ignore[no-untyped-def]
    engine = database.open_engine(load_settings(database_variables(servers.postgres("no_tables")), ()))
    with pytest.raises(DatabaseUnavailable, match="prediction_logs"), database.transaction(engine) as connection:
        connection.execute(prediction_logs.select())
    engine.dispose()


def test_a_statement_that_takes_too_long_is_given_up(settings: Settings) -> None:
    engine = database.open_engine(settings, statement_timeout_seconds=0.2)
    with pytest.raises(DatabaseUnavailable, match="statement timeout"), database.transaction(engine) as connection:
        connection.execute(text("SELECT pg_sleep(30)"))
    engine.dispose()


def test_a_transaction_may_allow_its_statements_more_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SILENCE_SECONDS", 0.1)
    engine = database.open_engine(settings, statement_timeout_seconds=0.2)
    with database.transaction(engine) as connection:
        first = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        database.raise_statement_timeout(connection, 30)
        connection.execute(text("SELECT pg_sleep(0.8)"))
    with pytest.raises(DatabaseUnavailable, match="statement timeout"), database.transaction(engine) as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == first, "it is used again"
        connection.execute(text("SELECT pg_sleep(30)"))
    with database.transaction(engine) as connection:
        limit = connection.connection.driver_connection.answer_seconds  # type: ignore[union-attr]
    assert limit == pytest.approx(0.3)
    engine.dispose()


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a server that takes what it is sent and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_that_never_answers_is_given_up_while_connecting(
    silent_server: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CONNECT_TIMEOUT_SECONDS", 0.3)
    engine = database.open_engine(settings.model_copy(update={"postgres_port": silent_server}))
    with pytest.raises(DatabaseUnavailable, match=r"no answer within 0\.3 seconds"), database.transaction(engine):
        pass
    engine.dispose()


def test_a_server_that_falls_silent_is_given_up_and_its_connection_not_used_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SILENCE_SECONDS", 0.2)
    with proxy_before(settings.postgres_port) as proxy:
        behind = settings.model_copy(update={"postgres_port": proxy.port})
        engine = database.open_engine(behind, statement_timeout_seconds=0.2)
        with database.transaction(engine) as connection:
            connection.execute(text("SELECT 1"))
        with (
            proxy.suffering(Fault(timeout=True)),
            pytest.raises(DatabaseUnavailable, match=r"no answer within 0\.4 seconds|no answer within 3 seconds"),
            database.transaction(engine) as connection,
        ):
            connection.execute(text("SELECT 1"))
        with database.transaction(engine) as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
        engine.dispose()


def test_when_every_connection_is_taken_it_says_so_soon(settings: Settings) -> None:
    engine = database.open_engine(settings)
    held = [engine.connect() for _ in range(database.POOL_SIZE + database.POOL_OVERFLOW)]
    with pytest.raises(DatabaseUnavailable, match="no free connection"), database.transaction(engine):
        pass
    for connection in held:
        connection.close()
    engine.dispose()


def test_a_wrong_value_is_not_taken_for_an_absent_server(engine: Engine) -> None:
    with pytest.raises(IntegrityError), database.transaction(engine) as connection:
        connection.execute(prediction_logs.insert().values(id=1, ts=datetime(2026, 1, 1, tzinfo=UTC)))


def test_a_connection_that_the_server_cut_is_replaced_unseen(engine: Engine, settings: Settings) -> None:
    with database.transaction(engine) as connection:
        mine = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    other = database.open_engine(settings)
    with database.transaction(other) as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
    other.dispose()
    for _ in range(3):
        with database.transaction(engine) as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_the_command_says_in_one_line_what_is_wrong(settings: Settings) -> None:
    away = load_settings({"POSTGRES_PORT": "1"}, ())
    process = command(away, "upgrade")
    _out, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("database: ") and "Traceback" not in errors


def test_the_command_line_can_be_called_from_python_too(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in database_variables(settings.database_url).items():
        monkeypatch.setenv(name, value)
    assert main(["database", "upgrade"]) == 0
    assert main(["database", "current"]) == 0
    monkeypatch.setenv("POSTGRES_PORT", "1")
    assert main(["database", "current"]) == 1
    assert f"revision {HEAD}" in capsys.readouterr().out
