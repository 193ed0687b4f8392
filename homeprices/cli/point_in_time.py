"""`homeprices features`: the place prices of any day."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from homeprices.cli.command_group import example, resources_of
from homeprices.errors import InvalidInput


@click.command(
    epilog=example(
        "homeprices features --as-of 2026-11-30",
        "homeprices features --as-of 2026-11-30 --listings listings.csv --out place_prices.json",
    ),
)
@click.option(
    "--as-of",
    "moment",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="Day, such as 2026-11-30: only listings before it count.",
)
@click.option("--dataset", type=click.IntRange(1), help="Version of the dataset: 2 for train_V2 (default: the newest).")
@click.option("--listings", type=click.Path(path_type=Path), help="File of listings, in place of a stored dataset.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write: .csv, or .json as the services read it.")
@click.pass_context
def features(
    context: click.Context, moment: datetime, dataset: int | None, listings: Path | None, out: Path | None
) -> None:
    """Print or write the price level of each place that was known on a day."""
    from homeprices.data.place_prices import as_frame
    from homeprices.files import write_atomic
    from homeprices.workflows.features import refresh_place_prices

    if listings is not None and dataset is not None:
        raise InvalidInput({"dataset": "is a stored dataset, and --listings is a file; give one of them"})
    if out is not None and out.suffix not in (".csv", ".json"):
        raise InvalidInput({"out": f"{out.name!r} must end with .csv or .json"})
    day = moment.date()
    if listings is not None:
        table, source = refresh_place_prices.table_of_file(listings, day), listings.name
    else:
        table, stored = refresh_place_prices.table_of(resources_of(context).bucket, day, dataset)
        source = stored.name
    if out is None:
        click.echo(as_frame(table).to_csv(index=False), nl=False)
        return
    write_atomic(out, table.model_dump_json() if out.suffix == ".json" else as_frame(table).to_csv(index=False))
    click.echo(f"{out}: {len(table.places):,} places as of {day}, of {source}")
