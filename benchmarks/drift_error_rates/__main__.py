"""Measure detection and false alarm rates: `make simulate-drift` (LISTINGS=path.csv RUNS=1000)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.drift_error_rates.population import NUMBERS, homes_of
from benchmarks.drift_error_rates.rival_rules import WORDS
from benchmarks.drift_error_rates.simulation import EVIDENTLY, REFERENCE_ROWS, RULES, Found, simulate
from homeprices.data.cleaning import clean
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import DEFAULT_ROWS, DEFAULT_SEED, make_listings
from homeprices.drift.findings import Rules
from homeprices.reporting.markdown import check_section, replace_section

SECTION = "measured by make simulate-drift"
"""Of documentations/drift.md."""
COLUMNS = (*NUMBERS, *WORDS)
COLUMNS_SECTION = "columns by make simulate-drift"
"""Of documentations/evidently.md."""


def main(arguments: list[str] | None = None) -> int:
    """Simulate, print the table row by row, and write it into the page, if one is given."""
    chosen = _parser().parse_args(arguments)
    if chosen.page:
        check_section(chosen.page, SECTION)
    if chosen.columns_page:
        check_section(chosen.columns_page, COLUMNS_SECTION)
    real = chosen.listings.exists()
    raw = read_listings(chosen.listings.read_bytes()) if real else make_listings(DEFAULT_ROWS, DEFAULT_SEED)
    population = homes_of(clean(raw).rows)
    source = chosen.listings.name if real else "synthetic listings"
    rows, columns = [], []
    for found in simulate(population, chosen.runs, chosen.seed):
        rows.append(_row(found))
        print(rows[-1], flush=True)
        if found.shift == "none":
            shares = (f"{found.column_share(EVIDENTLY, column):.1%}" for column in COLUMNS)
            columns.append(f"| {found.size:,} | {' | '.join(shares)} |")
    said = f"Population: {source}, {len(population):,} clean listings. {chosen.runs:,} runs a row, seed {chosen.seed}"
    said += f", a reference of {REFERENCE_ROWS:,} homes"
    if chosen.page:
        head = f"{said}, alpha {Rules().alpha:g}."
        replace_section(chosen.page, SECTION, _table(head, ["change", "homes", *RULES], rows))
    if chosen.columns_page:
        replace_section(chosen.columns_page, COLUMNS_SECTION, _table(f"{said}.", ["homes", *COLUMNS], columns))
    return 0


def _table(head: str, columns: Sequence[str], rows: Sequence[str]) -> str:
    """The rates as Markdown."""
    return "\n".join([head, "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *rows])


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
    parser.add_argument("--columns-page", type=Path, help="the document with the columns that Evidently calls drifted")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
