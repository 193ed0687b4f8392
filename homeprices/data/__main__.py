"""Bring listings into the running stack, or make synthetic ones.

python -m homeprices.data import listings.csv
python -m homeprices.data synthesize --rows 13320 --seed 7 --out listings.csv
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.data.schema import MAX_BYTES, to_csv
from homeprices.data.synthetic import DEFAULT_ROWS, DEFAULT_SEED, make_listings
from homeprices.errors import DatasetRefused, HomePricesError
from homeprices.names import DATASET_ASSET
from homeprices.registry.datasets import Dataset, import_csv
from homeprices.resources import Resources, open_resources

Announce = Callable[[Dataset], None]


def main(
    arguments: list[str] | None = None, resources: Resources | None = None, announce: Announce | None = None
) -> int:
    """Run a command; 0 when it is done, 1 with a readable line on standard error when it is refused."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "synthesize":
            return _synthesize(options)
        return _import(options, resources or open_resources(), announce)
    except DatasetRefused as error:
        for name, problem in error.fields.items():
            print(f"{name}: {problem}", file=sys.stderr)
        print("nothing was uploaded", file=sys.stderr)
    except (HomePricesError, OSError) as error:
        print(error, file=sys.stderr)
    return 1


def _import(options: argparse.Namespace, resources: Resources, announce: Announce | None) -> int:
    dataset = import_csv(resources.bucket, _read_bounded(options.path), options.path.name)
    print(f"{dataset.key}: {dataset.rows:,} rows, sha256 {dataset.sha256}")
    if options.notify:
        _tell(dataset, announce or _announcer(resources))
    return 0


def _synthesize(options: argparse.Namespace) -> int:
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(to_csv(make_listings(options.rows, options.seed)))
    print(f"{options.out}: {options.rows:,} synthetic listings from seed {options.seed}")
    return 0


def _tell(dataset: Dataset, announce: Announce) -> None:
    """Ask for a training run. Without one the dataset is stored all the same, so this is never a failure."""
    try:
        announce(dataset)
    except HomePricesError as error:
        print(f"stored, but no training was started ({error}); the weekly run will take it", file=sys.stderr)
    else:
        print("told Airflow: a training run will start")


def _announcer(resources: Resources) -> Announce:
    def announce(dataset: Dataset) -> None:
        with AirflowClient(resources.settings) as airflow:
            airflow.emit_asset_event(DATASET_ASSET, {"version": dataset.version, "key": dataset.key})

    return announce


def _read_bounded(path: Path) -> bytes:
    """The file, or as much of it as shows that it is too large."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m homeprices.data", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    importing = commands.add_parser("import", help="check a CSV file of listings and store it as the next dataset")
    importing.add_argument("path", type=Path)
    importing.add_argument(
        "--notify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="tell Airflow, which starts a training run (default)",
    )
    synthetic = commands.add_parser("synthesize", help="write synthetic listings as a CSV file")
    synthetic.add_argument("--rows", type=_rows, default=DEFAULT_ROWS)
    synthetic.add_argument("--seed", type=int, default=DEFAULT_SEED)
    synthetic.add_argument("--out", type=Path, required=True)
    return parser


def _rows(text: str) -> int:
    rows = int(text)
    if not 1 <= rows <= 500_000:
        raise argparse.ArgumentTypeError("from 1 to 500,000")
    return rows


if __name__ == "__main__":
    sys.exit(main())
