"""Measure detection and false alarm rates: `make simulate-drift` (LISTINGS=path.csv RUNS=1000)."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.drift_error_rates.population import homes_of
from benchmarks.drift_error_rates.simulation import REFERENCE_ROWS, RULES, Found, simulate
from homeprices.data.cleaning import clean
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import DEFAULT_ROWS, DEFAULT_SEED, make_listings
from homeprices.drift.findings import Rules
from homeprices.reporting.markdown import check_section, replace_section

SECTION = "measured by make simulate-drift"
"""Of documentations/drift.md."""


def main(arguments: list[str] | None = None) -> int:
    """Simulate, print the table row by row, and write it into the page, if one is given."""
    chosen = _parser().parse_args(arguments)
    if chosen.page:
        check_section(chosen.page, SECTION)
    real = chosen.listings.exists()
    raw = read_listings(chosen.listings.read_bytes()) if real else make_listings(DEFAULT_ROWS, DEFAULT_SEED)
    population = homes_of(clean(raw).rows)
    source = chosen.listings.name if real else "synthetic listings"
    rows = []
    for found in simulate(population, chosen.runs, chosen.seed):
        rows.append(_row(found))
        print(rows[-1], flush=True)
    if chosen.page:
        text = _table(rows, f"{source}, {len(population):,} clean listings", chosen.runs, chosen.seed)
        replace_section(chosen.page, SECTION, text)
    return 0


def _table(rows: list[str], source: str, runs: int, seed: int) -> str:
    """The rates as Markdown."""
    return "\n".join(
        [
            f"Population: {source}. {runs:,} runs a row, seed {seed}, a reference of {REFERENCE_ROWS:,} homes, "
            f"alpha {Rules().alpha:g}.",
            "",
            f"| change | homes | {' | '.join(RULES)} |",
            f"|---|---|{'---|' * len(RULES)}",
            *rows,
        ]
    )


def _row(found: Found) -> str:
    if found.moved is None:
        cells = [f"{found.any_share(rule):.1%}" for rule in RULES]
    else:
        cells = [f"{found.hit_share(rule):.1%}" for rule in RULES]
    return f"| {found.shift} | {found.size:,} | {' | '.join(cells)} |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_error_rates", description=__doc__)
    parser.add_argument("--listings", type=Path, default=Path("../shared/data/bengaluru_house_prices.csv"))
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", type=Path, help="the document whose table is replaced")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
