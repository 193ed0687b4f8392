"""`homeprices drift`: compare two files of listings or of logged features. Needs no running stack."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from homeprices.cli.command_group import CommandGroup, Refusal, example

if TYPE_CHECKING:
    from homeprices.drift.findings import Rules

DRIFT_EXIT = 3
STANDARD_OUTPUT = "-"


@click.group("drift", cls=CommandGroup, label="drift: ")
def group() -> None:
    """Compare two files of listings or logged features."""


@group.command(
    epilog=example(
        "homeprices drift check --reference a.csv --current b.csv --json",
        "homeprices drift check --reference reference.json --current visits.jsonl --html report.html",
    )
)
@click.option(
    "--reference", type=click.Path(path_type=Path), required=True, help="CSV, JSON, JSON lines, or a reference.json."
)
@click.option("--current", type=click.Path(path_type=Path), required=True, help="CSV, JSON or JSON lines.")
@click.option(
    "--json", "as_json", is_flag=False, flag_value=STANDARD_OUTPUT, metavar="[FILE]", help="Write JSON (default: here)."
)
@click.option(
    "--html", is_flag=False, flag_value=STANDARD_OUTPUT, metavar="[FILE]", help="Write a page (default: here)."
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Probability of a false alarm in the whole comparison (default: 0.05).",
)
@click.option(
    "--least-rows", type=click.IntRange(min=2), help="Report insufficient data for fewer values (default: 30)."
)
@click.option("--fail-on-drift", is_flag=True, help=f"End with exit code {DRIFT_EXIT} if a feature has drifted.")
@click.pass_context
def check(
    context: click.Context,
    reference: Path,
    current: Path,
    as_json: str | None,
    html: str | None,
    alpha: float | None,
    least_rows: int | None,
    fail_on_drift: bool,
) -> None:
    """Compare a file with a reference, feature by feature."""
    from homeprices.drift.findings import Rules
    from homeprices.drift.report_page import render

    limits = {"alpha": alpha, "least_rows": least_rows}
    summary = compare_files(
        reference, current, Rules.model_validate({name: value for name, value in limits.items() if value is not None})
    )
    if html:
        facts = f"{current.name} against {reference.name}."
        _write(html, render(summary, f"Drift of {current.name}", facts))
    if as_json:
        _write(as_json, json.dumps(summary, indent=2, allow_nan=False))
    if STANDARD_OUTPUT not in (as_json, html):
        click.echo(_readable(summary))
    if fail_on_drift and summary["overall_drift_detected"]:
        context.exit(DRIFT_EXIT)


def compare_files(reference: Path, current: Path, rules: Rules) -> dict[str, Any]:
    """Return the summary of the comparison, with the names of both files. Raises DatasetRefused."""
    from homeprices.drift.detector import compare, confirmed
    from homeprices.drift.file_samples import read_baseline, read_sample

    before, after = read_baseline(reference), read_sample(current)
    found = compare(before.baseline, after.counted.sample, rules)
    held = {"reference": before.baseline.features.keys(), "current": after.counted.sample.features.keys()}
    if before.distinct is not before.baseline or after.counted.distinct is not after.counted.sample:
        found = confirmed(found, compare(before.distinct, after.counted.distinct, rules))
    return {
        "reference": str(reference),
        "current": str(current),
        **found.summary(),
        "repeated_rows": {"reference": before.repetitions, "current": after.counted.repetitions},
        "ignored_columns": sorted({*before.ignored, *after.ignored}),
        "read": {
            "reference": [*before.notes, *_absent(held["current"], held["reference"])],
            "current": [*after.notes, *_absent(held["reference"], held["current"])],
        },
    }


def _absent(wanted: Collection[str], held: Collection[str]) -> list[str]:
    return [f"has no {name}, which is not compared" for name in wanted if name not in held]


def _write(path: str, text: str) -> None:
    if path == STANDARD_OUTPUT:
        click.echo(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refusal(f"drift: {path} cannot be written: {error.strerror}") from error


def _readable(summary: dict[str, Any]) -> str:
    marks = {True: "DRIFT", False: "     "}
    lines = [f"{marks[i['significant_drift']]}  {i['sentence']}" for i in summary["drift_indicators"].values()]
    read = [f"--{side}: {note}" for side, notes in summary["read"].items() for note in notes]
    ignored = [f"ignored columns: {', '.join(summary['ignored_columns'])}"] if summary["ignored_columns"] else []
    return "\n".join([summary["sentence"], "", *lines, *([""] if read or ignored else []), *read, *ignored])
