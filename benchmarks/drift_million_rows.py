"""The cost of `drift check` on two files of a million homes, compared with the usual functions on the same files.

The peer reads both files with pandas and calls the usual functions for each column: `scipy.stats.ks_2samp` and
`mannwhitneyu` for numbers, `pandas.crosstab` and `chi2_contingency` for words. Each side runs in a separate process.
CPU seconds (user and system) and peak resident memory are the kernel's.

`make benchmark-drift` (ROWS=1000000)
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

NUMBERS = ("total_sqft", "bhk", "bath")
WORDS = ("location",)
PLACES = 240
MEGABYTE = 1024  # kilobytes, in which Linux counts resident memory


def write_homes(path: Path, rows: int, seed: int) -> None:
    """Write this many synthetic homes as logged features."""
    chance = np.random.default_rng(seed)
    bhk = chance.choice([1, 2, 3, 4, 5], rows, p=[0.06, 0.44, 0.36, 0.1, 0.04])
    weights = 1 / np.arange(1, PLACES + 1)
    frame = pd.DataFrame(
        {
            "total_sqft": np.round(bhk * 520 * np.exp(chance.normal(0, 0.25, rows))),
            "bhk": bhk,
            "bath": np.maximum(1, bhk - chance.integers(0, 2, rows)),
            "location": chance.choice([f"Place {n}" for n in range(PLACES)], rows, p=weights / weights.sum()),
        }
    )
    frame.to_csv(path, index=False)


def ours(reference: Path, current: Path) -> None:
    """Do the work of the command: read both files and compare every feature."""
    from homeprices.cli.drift import compare_files
    from homeprices.drift.findings import Rules

    assert compare_files(reference, current, Rules())["status"] == "ok"


def peer(reference: Path, current: Path) -> None:
    """Apply the usual functions to the rows."""
    from scipy import stats

    before, after = pd.read_csv(reference), pd.read_csv(current)
    for name in NUMBERS:
        stats.ks_2samp(before[name], after[name], method="asymp")
        stats.mannwhitneyu(before[name], after[name], method="asymptotic")
    side = np.repeat([0, 1], [len(before), len(after)])
    for name in WORDS:
        stats.chi2_contingency(pd.crosstab(pd.concat([before[name], after[name]]).to_numpy(), side))


SIDES = {"ours": ours, "pandas and scipy": peer}


def main() -> int:
    """Measure both sides, alternating, and print the medians with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.side:
        SIDES[chosen.side](chosen.folder / "reference.csv", chosen.folder / "current.csv")
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({"seconds": used.ru_utime + used.ru_stime, "megabytes": used.ru_maxrss / MEGABYTE}))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        write_homes(Path(folder) / "reference.csv", chosen.rows, 1)
        write_homes(Path(folder) / "current.csv", chosen.rows, 2)
        found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for _ in range(chosen.rounds):
            for side in SIDES:
                found[side].append(_measured(side, Path(folder)))
    medians = {
        side: {name: float(np.median([one[name] for one in rounds])) for name in ("seconds", "megabytes")}
        for side, rounds in found.items()
    }
    for side, median in medians.items():
        print(f"{side:18s} {median['seconds']:6.1f} s of processor time, {median['megabytes']:6.0f} MB at the peak")
    first, second = medians.values()
    print(f"ratio              {first['seconds'] / second['seconds']:.2f} of the time, ", end="")
    print(f"{first['megabytes'] / second['megabytes']:.2f} of the memory; {chosen.rows:,} rows, {chosen.rounds} rounds")
    return 0


def _measured(side: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.drift_million_rows", "--side", side, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    raise SystemExit(main())
