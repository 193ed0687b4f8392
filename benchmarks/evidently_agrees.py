"""Check that the simulation's implementation of Evidently's rules agrees with the real program.

`make check-evidently` installs Evidently into a separate environment, because it does not import with pandas 3, and
compares the columns that both call drifted, on samples with and without a shift.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.drift_error_rates import rival_rules
from benchmarks.drift_error_rates.population import NUMBERS, Homes, homes_of
from benchmarks.drift_error_rates.shifts import nothing, shifts
from benchmarks.drift_error_rates.simulation import REFERENCE_ROWS
from homeprices.data.cleaning import clean
from homeprices.data.schema import read_listings

SIZES = (50, 500)


def main() -> int:
    """Compare on every shift at every size, and name each disagreement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="the interpreter that has Evidently")
    parser.add_argument("--listings", type=Path, required=True)
    chosen = parser.parse_args()
    population = homes_of(clean(read_listings(chosen.listings.read_bytes())).rows)
    cases, expected = [("none", nothing), *((name, shift) for name, (_, shift) in shifts(population).items())], []
    with tempfile.TemporaryDirectory() as folder:
        for number, (size, (_, shift)) in enumerate((size, case) for size in SIZES for case in cases):
            chance = np.random.default_rng([1, size, number])
            reference, current = population.drawn(REFERENCE_ROWS, chance), population.drawn(size, chance)
            current = shift(current, chance)
            expected.append(sorted(rival_rules.evidently(reference, current)))
            _write(reference, Path(folder) / f"{number}.reference.csv")
            _write(current, Path(folder) / f"{number}.current.csv")
        script = Path(__file__).with_name("evidently_drift.py")
        environment = {**os.environ, "DO_NOT_TRACK": "1"}
        subprocess.run([str(chosen.python), "-W", "ignore", str(script), folder], check=True, env=environment)
        found = json.loads((Path(folder) / "evidently.json").read_text())
    wrong = [(n, ours, theirs) for n, (ours, theirs) in enumerate(zip(expected, found, strict=True)) if ours != theirs]
    for number, ours, theirs in wrong:
        print(f"sample {number}: the definition says {ours}, Evidently {theirs}")
    print(f"{len(expected) - len(wrong)} of {len(expected)} samples agree")
    return 1 if wrong else 0


def _write(homes: Homes, path: Path) -> None:
    frame = pd.DataFrame({name: homes.numbers[name] for name in NUMBERS})
    for name in rival_rules.WORDS:
        names = np.array([*homes.names[name], None], dtype=object)
        frame[name] = names[homes.words[name]]
    frame.to_csv(path, index=False)


if __name__ == "__main__":
    raise SystemExit(main())
