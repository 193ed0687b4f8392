"""`homeprices airflow` and `homeprices database`: start a run of a DAG, bring the schema up to date."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from homeprices.cli.command_group import CommandGroup, Refusal, example
from homeprices.names import BATCH_DAG, DRIFT_DAG, EVALUATION_DAG, PLACE_PRICES_DAG, TRAINING_DAG

if TYPE_CHECKING:
    from homeprices.settings import Settings

DAGS = {
    "training": TRAINING_DAG,
    "evaluation": EVALUATION_DAG,
    "drift": DRIFT_DAG,
    "batch": BATCH_DAG,
    "place-prices": PLACE_PRICES_DAG,
}


def _complete_dag(_context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in DAGS if name.startswith(start)]


@click.group(cls=CommandGroup, label="airflow: ")
def airflow() -> None:
    """Start runs of the DAGs."""


class RunParameter(click.ParamType[tuple[str, Any]]):
    """A parameter of a run, NAME=VALUE. A value that is JSON, such as 3 or null, is that value; any other is text."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Return name and value."""
        name, equals, text = str(value).partition("=")
        if not (name and equals):
            self.fail(f"{value!r} is no NAME=VALUE such as preset=full", param, ctx)
        try:
            return name, json.loads(text)
        except ValueError:
            return name, text


@airflow.command(epilog=example("homeprices airflow trigger training --param preset=full --param seed=3"))
@click.argument("dag", shell_complete=_complete_dag)
@click.option(
    "--param", "params", type=RunParameter(), multiple=True, help="Parameter of the run, as in Airflow's form."
)
def trigger(dag: str, params: tuple[tuple[str, Any], ...]) -> None:
    """Start a run of DAG (training, evaluation, drift, batch, place-prices, or a DAG id) and print its address."""
    from homeprices.adapters.airflow_client import AirflowClient
    from homeprices.settings import load_settings

    settings = load_settings()
    settings.require("airflow_url")
    dag_id = DAGS.get(dag, dag)
    with AirflowClient(settings) as client:
        run_id = client.trigger(dag_id, dict(params))
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
