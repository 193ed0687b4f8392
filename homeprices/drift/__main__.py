"""Compare two files of listings or of logged features; no stack has to run.

python -m homeprices.drift check --reference a.csv --current b.csv --json
python -m homeprices.drift check --reference reference.json --current visits.jsonl --html report.html
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from homeprices.drift.detector import compare
from homeprices.drift.file_samples import read_baseline, read_sample
from homeprices.drift.findings import Rules
from homeprices.drift.report_page import render
from homeprices.errors import HomePricesError

DRIFT_EXIT = 3
STANDARD_OUTPUT = "-"


def main(arguments: list[str] | None = None) -> int:
    """Run a command: 0 when it compared, 1 with a readable line when it could not; 3 for drift where that was asked."""
    chosen = _parser().parse_args(arguments)
    try:
        summary = check(chosen.reference, chosen.current, Rules(alpha=chosen.alpha, least_rows=chosen.least_rows))
        _hand_out(summary, chosen)
    except HomePricesError as error:
        print(f"drift: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"drift: {error.filename or 'output'} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return DRIFT_EXIT if chosen.fail_on_drift and summary["overall_drift_detected"] else 0


def check(reference: Path, current: Path, rules: Rules) -> dict[str, Any]:
    """The summary of one file against another, with the names of both. Raises DatasetRefused."""
    baseline, ignored_before = read_baseline(reference)
    found = read_sample(current)
    return {
        "reference": str(reference),
        "current": str(current),
        **compare(baseline, found.sample, rules).summary(),
        "ignored_columns": sorted({*ignored_before, *found.ignored}),
    }


def _hand_out(summary: dict[str, Any], chosen: argparse.Namespace) -> None:
    if chosen.html:
        facts = f"{chosen.current.name} against {chosen.reference.name}."
        _write(chosen.html, render(summary, f"Drift of {chosen.current.name}", facts))
    if chosen.json:
        _write(chosen.json, json.dumps(summary, indent=2, allow_nan=False))
    if STANDARD_OUTPUT not in (chosen.json, chosen.html):
        print(_lines(summary))


def _write(place: str, text: str) -> None:
    if place == STANDARD_OUTPUT:
        print(text)
    else:
        Path(place).write_text(text, encoding="utf-8")


def _lines(summary: dict[str, Any]) -> str:
    marks = {True: "DRIFT", False: "     "}
    lines = [f"{marks[i['significant_drift']]}  {i['sentence']}" for i in summary["drift_indicators"].values()]
    return "\n".join([summary["sentence"], "", *lines])


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _rows(text: str) -> int:
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"{text} is less than 2")
    return value


def _parser() -> argparse.ArgumentParser:
    rules = Rules()
    parser = argparse.ArgumentParser(prog="python -m homeprices.drift", description=(__doc__ or "").splitlines()[0])
    command = parser.add_subparsers(dest="command", required=True).add_parser(
        "check", help="compare a file with a reference", description=(__doc__ or "").splitlines()[0]
    )
    command.add_argument("--reference", type=Path, required=True, help="CSV, JSON, JSON lines, or a reference.json")
    command.add_argument("--current", type=Path, required=True, help="CSV, JSON or JSON lines")
    for form in ("json", "html"):
        command.add_argument(
            f"--{form}", nargs="?", const=STANDARD_OUTPUT, metavar="FILE", help=f"write {form} (to standard output)"
        )
    command.add_argument(
        "--alpha", type=_share, default=rules.alpha, help="how often to alarm at all without drift (%(default)s)"
    )
    command.add_argument(
        "--least-rows", type=_rows, default=rules.least_rows, help="fewer are insufficient data (%(default)s)"
    )
    command.add_argument("--fail-on-drift", action="store_true", help=f"end with {DRIFT_EXIT} when something drifted")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
