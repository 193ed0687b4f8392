"""`homeprices compare` and `homeprices runs`: what a data scientist asks about the models of the stack."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from homeprices.cli.command_group import example, resources_of
from homeprices.errors import InvalidInput

MAX_RUNS = 1_000


@click.command(
    epilog=example("homeprices compare BO1 CO1", "homeprices compare BO1 CO1 --on sold.csv --json --html page.html")
)
@click.argument("first")
@click.argument("second")
@click.option(
    "--on",
    type=click.Path(path_type=Path),
    help="File of listings (default: the hold-out of the newer dataset of the two).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--html", "page", type=click.Path(path_type=Path), help="Write a page.")
@click.pass_context
def compare(context: click.Context, first: str, second: str, on: Path | None, as_json: bool, page: Path | None) -> None:
    """Compare the bundles FIRST and SECOND on the same homes, which neither was trained on, over all and by segment."""
    from homeprices.data.preparation import Holdout
    from homeprices.pricing.bundle import Bundle
    from homeprices.pricing.predictor import Predictor
    from homeprices.registry import bundle_reader, datasets
    from homeprices.training.comparison import bundles, report
    from homeprices.training.evaluate_files import accept_file

    if page and not page.parent.is_dir():
        raise InvalidInput({"html": f"{page.parent} is no folder"})
    bucket = resources_of(context).bucket
    references = [bundle_reader.read_manifest(bucket, version).dataset for version in (first, second)]
    with tempfile.TemporaryDirectory() as temporary:
        one, two = (
            Predictor(Bundle.open(bundle_reader.fetch(bucket, version, Path(temporary)))) for version in (first, second)
        )
        sides = [datasets.prepared(bucket, reference) for reference in references]
        newest = max(range(len(sides)), key=lambda number: references[number].version)
        homes, described = sides[newest].listed_holdout, f"the hold-out of train_V{references[newest].version}"
        if on is not None:
            homes, described = Holdout(accept_file(on, "--on").cleaned.rows), f"the listings of {on.name}"
        found = bundles.compare(one, two, homes, on=described, trained_on=[side.training for side in sides])
    if page:
        page.write_text(report.as_page(found))
    click.echo(json.dumps(found.model_dump(mode="json"), allow_nan=False) if as_json else report.as_text(found))


@click.command(epilog=example("homeprices runs", "homeprices runs --last 5 --json"))
@click.option(
    "--last", type=click.IntRange(1, MAX_RUNS), default=20, show_default=True, help="Number of runs, the newest first."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def runs(context: click.Context, last: int, as_json: bool) -> None:
    """List what was trained and what became of it."""
    from homeprices.adapters.mlflow_client import MlflowClient
    from homeprices.release import training_runs

    resources = resources_of(context)
    found, missing = training_runs.list_runs(resources.bucket, MlflowClient(resources.settings), last)
    listed = [run.model_dump(mode="json") for run in found]
    click.echo(json.dumps({"runs": listed, "missing": missing}) if as_json else training_runs.as_text(found))
    for sentence in missing:
        click.echo(sentence, err=True)
