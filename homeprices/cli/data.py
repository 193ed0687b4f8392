"""`homeprices data`: store listings as the next dataset version, or write synthetic ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homeprices.cli.command_group import CommandGroup, Refusal, example, resources_of
from homeprices.errors import DatasetRefused, HomePricesError
from homeprices.names import DATASET_ASSET

if TYPE_CHECKING:
    from homeprices.registry.datasets import Dataset
    from homeprices.resources import Resources

MAX_ROWS = 500_000

Announce = Callable[["Dataset"], None]


@click.group("data", cls=CommandGroup)
def group() -> None:
    """Store listings or write synthetic ones."""


@group.command("import", epilog=example("homeprices data import listings.csv"))
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--notify/--no-notify", default=True, show_default=True, help="Start a training run in Airflow.")
@click.option("--source", help="What the listings are, for model card and form (default: the name of the file).")
@click.pass_context
def import_(context: click.Context, path: Path, notify: bool, source: str | None) -> None:
    """Check the file PATH of listings (CSV, JSON, JSON lines or Parquet) and store it as the next dataset version."""
    resources = resources_of(context)
    import_file(resources, path, announcer(resources) if notify else None, source)


def import_file(resources: Resources, path: Path, announce: Announce | None, source: str | None = None) -> None:
    """Store the file, print what was read of it, and announce the dataset.

    Raises Refusal with a line for each fault of the file, or OSError.
    """
    from homeprices.data.contract import accept
    from homeprices.data.listing_dates import local_day
    from homeprices.data.schema import MAX_BYTES
    from homeprices.registry.datasets import store
    from homeprices.registry.versions import utc_now

    with path.open("rb") as file:
        body = file.read(MAX_BYTES + 1)  # one byte more shows that the file is too large
    try:
        accepted = accept(body, local_day(utc_now()))
    except DatasetRefused as error:
        named = {name: "" if name == "file" else f"{name}: " for name in error.fields}
        faults = [f"{path.name}: {named[name]}{problem}" for name, problem in error.fields.items()]
        raise Refusal("\n".join([*faults, "nothing was uploaded"])) from error
    rows, form = accepted.cleaned.raw_rows, accepted.listings.format
    dataset = store(resources.bucket, body, source or f"listings of {path.name}", rows=rows, format=form)
    click.echo("\n".join([f"{dataset.key}: {dataset.rows:,} rows, sha256 {dataset.sha256}", *accepted.report()]))
    if announce is None:
        return
    try:
        announce(dataset)
    except HomePricesError as error:  # the dataset is stored, so this is not a failure
        click.echo(f"stored, but no training was started ({error}); the weekly run will take it", err=True)
    else:
        click.echo("Airflow is notified and starts a training run")


def announcer(resources: Resources) -> Announce:
    """Return the function that emits the asset event of a new dataset, which starts a training run."""
    from homeprices.adapters.airflow_client import AirflowClient

    def announce(dataset: Dataset) -> None:
        with AirflowClient(resources.settings) as airflow:
            airflow.emit_asset_event(DATASET_ASSET, {"version": dataset.version, "key": dataset.key})

    return announce


@group.command(epilog=example("homeprices data synthesize --rows 13320 --seed 7 --out listings.csv"))
@click.option(
    "--rows", type=click.IntRange(1, MAX_ROWS), help="Number of listings (default: as many as the real ones)."
)
@click.option("--seed", type=int, help="The same seed gives the same listings.")
@click.option("--prices", type=click.Choice(["steady", "moving"]), help="Give the listings dates, of three years.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="CSV file to write.")
def synthesize(rows: int | None, seed: int | None, prices: str | None, out: Path) -> None:
    """Write synthetic listings as a CSV file, with prices that stay or move over time if they have dates."""
    from homeprices.data.moving_prices import with_dates
    from homeprices.data.schema import to_csv
    from homeprices.data.synthetic import DEFAULT_ROWS, DEFAULT_SEED, make_listings

    rows = DEFAULT_ROWS if rows is None else rows
    seed = DEFAULT_SEED if seed is None else seed
    out.parent.mkdir(parents=True, exist_ok=True)
    listings = make_listings(rows, seed)
    if prices is not None:
        listings = with_dates(listings, seed, moving=prices == "moving")
    out.write_bytes(to_csv(listings))
    click.echo(f"{out}: {rows:,} synthetic listings from seed {seed}")
