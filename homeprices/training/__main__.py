"""Train and score on files of one's own, without a running stack.

python -m homeprices.training evaluate --train a.csv --test b.csv --inputs form --seed 1 --json
python -m homeprices.training compare --page documentations/models.md
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from joblib import cpu_count, parallel_config  # type: ignore[import-untyped]

from homeprices.data import preparation
from homeprices.data.cleaning import clean
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import make_listings
from homeprices.errors import HomePricesError, InvalidInput
from homeprices.model.presets import preset
from homeprices.reporting.markdown import replace_section
from homeprices.training.evaluate_files import as_markdown, compare_estimators, evaluate

DEFAULT_SEED = 7
MAX_SEED = 2**31 - 1
MAX_JOBS = 1_000
MAX_DEFAULT_JOBS = 2  # each takes 300 MB


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 when it is done, 1 when a file is refused, with the reason on standard error.

    With `--json` standard output holds one JSON object in both cases: the figures, or `error` and `fields`.
    """
    options = _parser().parse_args(arguments)
    try:
        with _parallel(options.backend, options.jobs):
            if options.command == "compare":
                return _compare(options)
            found = evaluate(
                options.train, options.test, options.inputs, seed=options.seed, effort=preset(options.effort)
            )
    except (HomePricesError, OSError) as error:
        fields = error.fields if isinstance(error, InvalidInput) else {}
        if getattr(options, "json", False):
            print(json.dumps({"error": str(error), "fields": fields}))
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(found, allow_nan=False) if options.json else _readable(found))
    return 0


def _compare(options: argparse.Namespace) -> int:
    """Write the table of estimators into a page, for the synthetic listings or for a file of them."""
    size = preset(options.effort)
    table = read_listings(options.listings.read_bytes()) if options.listings else make_listings()
    rows, _ = preparation.split(clean(table).rows)
    text = as_markdown(compare_estimators(rows, options.seed, size), len(rows), options.seed, size)
    replace_section(options.page, "listings of one's own" if options.listings else "synthetic listings", text)
    print(text)
    return 0


def _readable(found: dict[str, Any]) -> str:
    lines = [
        f"{found['title']}, from {'the four fields of the form' if found['inputs'] == 'form' else 'all inputs'}",
        f"trained on {found['rows']['train']['used']:,} homes, scored on {found['rows']['test']['used']:,}, "
        f"{found['seconds']:.0f} s",
    ]
    for name, value in found["metrics"].items():
        low, high = found["metric_intervals_95"][name]
        lines.append(f"  {name:<12} {value:10.4f}   95 %: {low:.4f} to {high:.4f}")
    interval = found["interval"]
    by_price = ", ".join(f"{name} {value:.1%}" for name, value in interval["coverage_by_price"].items())
    lines.append(f"  within the {interval['nominal']:.0%} interval: {interval['coverage']:.1%} ({by_price})")
    for side in ("train", "test"):
        counts = found["rows"][side]
        refused = ", ".join(f"{name} {count}" for name, count in counts["refused_by_reason"].items() if count)
        lines.append(
            f"  {side}: {counts['rows']:,} rows, {counts['used']:,} used, {counts['duplicates']:,} repeated, "
            f"{counts['refused']:,} refused{f' ({refused})' if refused else ''}"
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m homeprices.training", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("evaluate", help="train on one file of listings and score every row of another")
    command.add_argument("--train", type=Path, required=True, help="CSV file of listings to learn from")
    command.add_argument("--test", type=Path, required=True, help="CSV file of listings to be scored on")
    command.add_argument("--inputs", choices=["form", "all"], required=True, help="what is said of a home of the test")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    table = commands.add_parser("compare", help="write the table of all estimators into a page")
    table.add_argument("--listings", type=Path, help="CSV file of listings; without it, the synthetic ones")
    table.add_argument("--page", type=Path, required=True, help="Markdown page that holds the marks of the table")
    for one, usual in ((command, "full"), (table, "quick")):
        one.add_argument("--seed", type=_seed, default=DEFAULT_SEED)
        one.add_argument("--effort", choices=["quick", "full", "search"], default=usual)
        one.add_argument("--jobs", type=_jobs, default=_default_jobs(), help="how much to do at once")
        one.add_argument("--backend", default="loky", help="of joblib: loky, threading, or a distributed one, say dask")
    return parser


def _parallel(backend: str, jobs: int) -> Any:
    """What makes joblib run things at once. Raises InvalidInput for a back end that is not there."""
    try:
        return parallel_config(backend=backend, n_jobs=jobs)
    except (ValueError, ImportError) as error:
        raise InvalidInput({"backend": str(error)}) from None


def _default_jobs() -> int:
    return min(MAX_DEFAULT_JOBS, int(cpu_count()))


def _jobs(text: str) -> int:
    jobs = int(text)
    if not 1 <= jobs <= MAX_JOBS:
        raise argparse.ArgumentTypeError(f"from 1 to {MAX_JOBS:,}")
    return jobs


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"from 0 to {MAX_SEED:,}")
    return seed


if __name__ == "__main__":
    sys.exit(main())
