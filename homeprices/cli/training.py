"""`homeprices training`: train and score on files, without a running stack."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import click

from homeprices.cli.command_group import CommandGroup, example
from homeprices.errors import HomePricesError, InvalidInput
from homeprices.words import ITEMS

DEFAULT_SEED = 7
MAX_SEED = 2**31 - 1
MAX_JOBS = 1_000
MAX_DEFAULT_JOBS = 2  # each takes 300 MB
PRESETS = ["quick", "full", "search"]

Command = Callable[..., None]


@click.group("training", cls=CommandGroup)
def group() -> None:
    """Train and score on files, without a running stack."""


def run_options(preset: str) -> Callable[[Command], Command]:
    """Return the decorator that adds the options of a training run, with this preset as the default."""

    def decorate(command: Command) -> Command:
        for option in (
            click.option("--backend", default="loky", show_default=True, help="Joblib backend: loky, threading, dask."),
            click.option(
                "--jobs", type=click.IntRange(1, MAX_JOBS), help="Parallel jobs (default: the cores, up to 2)."
            ),
            click.option(
                "--preset",
                "--effort",
                "preset_name",
                type=click.Choice(PRESETS),
                default=preset,
                show_default=True,
                help="Size of the run; --effort is the option's earlier name.",
            ),
            click.option(
                "--seed",
                type=click.IntRange(0, MAX_SEED),
                default=DEFAULT_SEED,
                show_default=True,
                help="The same seed gives the same folds and models.",
            ),
        ):
            command = option(command)
        return command

    return decorate


@group.command(epilog=example("homeprices training evaluate --train a.csv --test b.csv --inputs form --seed 1 --json"))
@click.option("--train", type=click.Path(path_type=Path), required=True, help="File of listings to train on.")
@click.option("--test", type=click.Path(path_type=Path), required=True, help="File of listings to score.")
@click.option("--inputs", type=click.Choice(["form", "all"]), required=True, help=f"Inputs of the {ITEMS} to score.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@run_options(preset="full")
def evaluate(
    train: Path,
    test: Path,
    inputs: Literal["form", "all"],
    as_json: bool,
    seed: int,
    preset_name: str,
    jobs: int | None,
    backend: str,
) -> None:
    """Train on one file of listings and score every row of another.

    With --json, standard output holds one JSON object in every case: the figures, or `error` and `fields`.
    """
    from homeprices.model import presets
    from homeprices.training import evaluate_files

    try:
        with parallel(backend, jobs):
            scores = evaluate_files.evaluate(train, test, inputs, seed=seed, preset=presets.preset(preset_name))
    except (HomePricesError, OSError) as error:
        if as_json:
            fields = error.fields if isinstance(error, InvalidInput) else {}
            click.echo(json.dumps({"error": str(error), "fields": fields}))
        raise
    click.echo(json.dumps(scores, allow_nan=False) if as_json else _readable(scores))


@group.command(epilog=example("homeprices training compare --page documentations/models.md"))
@click.option("--listings", type=click.Path(path_type=Path), help="File of listings (default: synthetic listings).")
@click.option(
    "--page", type=click.Path(path_type=Path), required=True, help="Markdown page that holds the marks of the table."
)
@run_options(preset="quick")
def compare(listings: Path | None, page: Path, seed: int, preset_name: str, jobs: int | None, backend: str) -> None:
    """Write the table of all estimators into a page."""
    from homeprices.data import preparation, synthetic
    from homeprices.data.cleaning import clean
    from homeprices.data.schema import read_listings
    from homeprices.model import presets
    from homeprices.reporting.markdown import check_section, replace_section
    from homeprices.training import evaluate_files

    section = "own listings" if listings else "synthetic listings"
    size = presets.preset(preset_name)
    with parallel(backend, jobs):
        check_section(page, section)
        table = read_listings(listings.read_bytes()) if listings else synthetic.make_listings()
        rows, _ = preparation.split(clean(table).rows)
        scores = evaluate_files.compare_estimators(rows, seed, size)
    text = evaluate_files.as_markdown(scores, len(rows), seed, size)
    replace_section(page, section, text)
    click.echo(text)


def parallel(backend: str, jobs: int | None) -> AbstractContextManager[Any]:
    """Return the context in which joblib uses this back end. Raises InvalidInput if it is not installed."""
    from joblib import cpu_count, parallel_config  # type: ignore[import-untyped]

    try:
        context: AbstractContextManager[Any] = parallel_config(
            backend=backend, n_jobs=jobs or min(MAX_DEFAULT_JOBS, int(cpu_count()))
        )
    except (ValueError, ImportError) as error:
        raise InvalidInput({"backend": str(error)}) from None
    return context


def _readable(scores: dict[str, Any]) -> str:
    lines = [
        f"{scores['title']}, from {'the four fields of the form' if scores['inputs'] == 'form' else 'all inputs'}",
        f"trained on {scores['rows']['train']['used']:,} {ITEMS}, scored on {scores['rows']['test']['used']:,}, "
        f"{scores['seconds']:.0f} s",
    ]
    for name, value in scores["metrics"].items():
        low, high = scores["metric_intervals_95"][name]
        lines.append(f"  {name:<12} {value:10.4f}   95 %: {low:.4f} to {high:.4f}")
    interval = scores["interval"]
    by_price = ", ".join(f"{name} {value:.1%}" for name, value in interval["coverage_by_price"].items())
    lines.append(f"  within the {interval['nominal']:.0%} interval: {interval['coverage']:.1%} ({by_price})")
    for group in scores["ratio_study"]:
        figures = ", ".join(
            f"{name} {group['values'][name]:.3f} ({low:.3f} to {high:.3f})"
            for name, (low, high) in group["intervals"].items()
        )
        lines.append(f"  ratios, {group['homes']}: {figures}")
    for side in ("train", "test"):
        counts = scores["rows"][side]
        refused = ", ".join(f"{name} {count}" for name, count in counts["refused_by_reason"].items() if count)
        lines.append(
            f"  {side}: {counts['rows']:,} rows, {counts['used']:,} used, {counts['duplicates']:,} repeated, "
            f"{counts['refused']:,} refused{f' ({refused})' if refused else ''}"
        )
    return "\n".join(lines)
