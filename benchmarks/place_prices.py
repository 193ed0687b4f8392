"""Whether place prices lower the error on the newest listings: where prices move, and where they stay.

Synthetic listings with dates from several seeds, or a file of listings with `listed_on`. Each is divided by time, one
estimator is fitted with and without place prices, and both price the hold-out, as in a training run.

`make benchmark-place-prices` (LISTINGS=path.csv)
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import machine
from homeprices.data.cleaning import clean
from homeprices.data.moving_prices import with_dates
from homeprices.data.preparation import prepare
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import DEFAULT_ROWS, make_listings
from homeprices.training.comparison import time_adjustment

SEEDS = (7, 8, 9, 10, 11)


def main() -> None:
    """Measure, print a table and store the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.place_prices", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--listings", type=Path, help="file of listings with dates (default: synthetic listings)")
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    options = parser.parse_args()
    if options.listings:
        found = [_measured(options.listings.name, SEEDS[0], read_listings(options.listings.read_bytes()))]
    else:
        found = [
            _measured("moving" if moving else "steady", seed, with_dates(make_listings(seed=seed), seed, moving=moving))
            for moving in (True, False)
            for seed in SEEDS
        ]
    if options.out:
        results = {"rows": DEFAULT_ROWS, "machine": machine.describe(), "each": found}
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(_table(found)))


def _measured(prices: str, seed: int, raw: Any) -> dict[str, Any]:
    found = time_adjustment.measure(prepare(clean(raw)), seed)
    return {"prices": prices, "seed": seed, **found.model_dump(mode="json")}


def _table(found: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| prices | seed | homes | form: without | form: with | difference, 95 % | all: without | all: with | used |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        form, full = one["form"], one["full"]
        if form is None:
            lines.append(f"| {one['prices']} | {one['seed']} | {one['homes']} | {one['sentence']} |")
            continue
        errors = [f"{side[name]:.1%}" for side in (form, full) for name in ("without", "with_place_prices")]
        span = f"{100 * form['low']:+.1f} to {100 * form['high']:+.1f} points"
        used = "yes" if one["used"] else "no"
        cells = [one["prices"], one["seed"], f"{one['homes']:,}", *errors[:2], span, *errors[2:], used]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


if __name__ == "__main__":
    main()
