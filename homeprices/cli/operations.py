"""`homeprices airflow` and `homeprices database`: start a run of a DAG, bring the schema up to date."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from homeprices.cli.command_group import CommandGroup, Refusal, example
from homeprices.names import BATCH_DAG, DRIFT_DAG, EVALUATION_DAG, TRAINING_DAG

if TYPE_CHECKING:
    from homeprices.settings import Settings

DAGS = {"training": TRAINING_DAG, "evaluation": EVALUATION_DAG, "drift": DRIFT_DAG, "batch": BATCH_DAG}


def _complete_dag(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in DAGS if name.startswith(start)]


@click.group(cls=CommandGroup, label="airflow: ")
def airflow() -> None:
    """Start runs of the DAGs."""


@airflow.command(epilog=example("homeprices airflow trigger training"))
@click.argument("dag", shell_complete=_complete_dag)
def trigger(dag: str) -> None:
    """Start a run of DAG (training, evaluation, drift, batch, or a DAG id) and print its address."""
    from homeprices.adapters.airflow_client import AirflowClient
    from homeprices.settings import load_settings

    settings = load_settings()
    settings.require("airflow_url")
    dag_id = DAGS.get(dag, dag)
    with AirflowClient(settings) as client:
        run_id = client.trigger(dag_id)
    click.echo(f"{dag_id} is started: {settings.airflow_url}/dags/{dag_id}/runs/{run_id}")


@click.group(cls=CommandGroup, label="database: ")
def database() -> None:
    """Migrate the schema of the database."""


@database.command(epilog=example("homeprices database upgrade"))
def upgrade() -> None:
    """Bring the schema up to date; safe to repeat and to run several times at once."""
    from homeprices.adapters import database as adapter

    _print_revision(adapter.upgrade)


@database.command(epilog=example("homeprices database current"))
def current() -> None:
    """Print the revision of the schema."""
    from homeprices.adapters import database as adapter

    _print_revision(adapter.current_revision)


def _print_revision(revision_of: Callable[[Settings], str]) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    from homeprices.settings import load_settings

    settings = load_settings()
    settings.require("postgres_host")
    try:
        revision = revision_of(settings)
    except SQLAlchemyError as error:
        raise Refusal(f"database: {error}") from error
    click.echo(f"database {settings.postgres_db} is at revision {revision or 'none'}")
