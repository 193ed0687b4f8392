"""Quality of the models on a file of listings: errors, coverage, seconds and memory over five splits of it.

Each split is by another hash, 85 to 15, with a home that is listed twice on one side. A separate process trains on the
larger part as the pipeline does, on two cores, and scores the smaller part from the form's fields and from all inputs.
The peer in the same run is the usual linear regression on the same rows. Memory is the sum of the process and its
workers, sampled five times a second.

`make model-quality LISTINGS=path.csv` (EFFORT=full)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from joblib import parallel_config  # type: ignore[import-untyped]

from benchmarks import machine
from homeprices.data import preparation
from homeprices.data.cleaning import clean
from homeprices.data.schema import read_listings
from homeprices.model.presets import preset
from homeprices.training.evaluate_files import score, train_on

DIVISIONS = 5
CORES = 2
LOOK_SECONDS = 0.2
BYTES_A_MEGABYTE = 1_000_000
PEER = "linear"
TARGETS = {
    "form": {"median_ape": 0.153, "within_20": 0.595},
    "all": {"median_ape": 0.132, "within_20": 0.655},
}
SECONDS_ALLOWED = {"quick": 45, "full": 240, "search": 240}
MEGABYTES_ALLOWED = 2_000


def main() -> int:
    """Measure all splits, print a page and store the figures; return 1 when a target was missed."""
    options = _options()
    if options.division is not None:
        print(json.dumps(one_division(options.listings, options.preset, options.division)))
        return 0
    found = [_measured(options, number) for number in range(options.divisions)]
    results = {
        "preset": options.preset,
        "divisions": options.divisions,
        "machine": machine.describe(),
        "busy_share": machine.busy_share(),
        "mean": _means(found),
        "each": found,
    }
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    missed = _missed(results["mean"], options.preset)
    print(_page(results, missed))
    return 1 if missed else 0


def one_division(listings: Path, name: str, number: int) -> dict[str, Any]:
    """Return the figures of one split of a file."""
    rows = clean(read_listings(listings.read_bytes())).rows
    training, unseen = preparation.split(rows, salt=f"division {number}")
    started = time.perf_counter()
    with parallel_config(n_jobs=CORES):
        trained = train_on(training, seed=number, preset=preset(name))
        seconds = time.perf_counter() - started
        peer = train_on(training, seed=number, preset=preset("quick"), compared=(PEER,))
    figures: dict[str, Any] = {"estimator": trained.estimator, "homes": len(unseen), "seconds": seconds}
    for inputs in ("form", "all"):
        figures[inputs] = _figures(trained.model, training, unseen, inputs, number)
        figures[f"peer_{inputs}"] = _figures(peer.model, training, unseen, inputs, number)
    return figures


def _figures(model: Any, training: pd.DataFrame, unseen: pd.DataFrame, inputs: Any, seed: int) -> dict[str, float]:
    found = score(model, training, unseen, inputs, seed=seed)
    interval = found["interval"]
    return {
        **{metric: found["metrics"][metric] for metric in ("median_ape", "mean_ape", "within_10", "within_20", "r2")},
        "coverage": interval["coverage"],
        **{f"coverage_{third}": value for third, value in interval["coverage_by_price"].items()},
        "median_width": interval["median_width_relative"],
    }


def _measured(options: argparse.Namespace, number: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.model_quality", "--listings", str(options.listings)]
    more = ["--preset", options.preset, "--division", str(number)]
    with subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True) as process:
        peak = _peak(psutil.Process(process.pid), process)
        said = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"division {number} ended with {process.returncode}")
    figures = json.loads(said) | {"peak_megabytes": peak / BYTES_A_MEGABYTE}
    print(f"division {number}: {figures['seconds']:.0f} s", file=sys.stderr)
    return dict(figures)


def _peak(family: psutil.Process, process: subprocess.Popen[str]) -> int:
    """Return the peak memory of the process and its children in bytes; shared pages count once."""
    peak = 0
    while process.poll() is None:
        held = 0
        for one in [family, *family.children(recursive=True)]:
            try:
                held += one.memory_full_info().pss
            except psutil.Error:
                continue  # it has ended since
        peak = max(peak, held)
        time.sleep(LOOK_SECONDS)
    return peak


def _means(found: list[dict[str, Any]]) -> dict[str, Any]:
    means: dict[str, Any] = {
        side: {name: float(np.mean([one[side][name] for one in found])) for name in found[0][side]}
        for side in ("form", "all", "peer_form", "peer_all")
    }
    return means | {
        "seconds": float(np.mean([one["seconds"] for one in found])),
        "most_seconds": max(one["seconds"] for one in found),
        "peak_megabytes": max(one["peak_megabytes"] for one in found),
    }


def _missed(mean: dict[str, Any], name: str) -> list[str]:
    """Return the targets that these figures miss."""
    missed = []
    for inputs, targets in TARGETS.items():
        found = mean[inputs]
        if name != "quick":
            missed += [] if found["median_ape"] <= targets["median_ape"] else [f"{inputs}: median error"]
            missed += [] if found["within_20"] >= targets["within_20"] else [f"{inputs}: within 20 %"]
        missed += [] if 0.88 <= found["coverage"] <= 0.92 else [f"{inputs}: coverage"]
        thirds = [found[f"coverage_{third}"] for third in ("cheap", "middle", "dear")]
        missed += [] if min(thirds) >= 0.85 else [f"{inputs}: coverage of a third by price"]
    missed += [] if mean["most_seconds"] <= SECONDS_ALLOWED[name] else ["seconds"]
    return missed + ([] if mean["peak_megabytes"] <= MEGABYTES_ALLOWED else ["memory"])


def _page(results: dict[str, Any], missed: list[str]) -> str:
    mean = results["mean"]
    lines = [
        f"preset {results['preset']}, {results['divisions']} divisions: {mean['seconds']:.0f} s (at most "
        f"{mean['most_seconds']:.0f}), {mean['peak_megabytes']:.0f} MB at the peak; "
        f"the machine was {results['busy_share']:.0%} busy with other work afterwards"
    ]
    for inputs in ("form", "all"):
        one, peer = mean[inputs], mean[f"peer_{inputs}"]
        thirds = ", ".join(f"{third} {one[f'coverage_{third}']:.1%}" for third in ("cheap", "middle", "dear"))
        width = f"{one['median_width']:.2f} of the price wide"
        lines += [
            f"{inputs:<5} median error {one['median_ape']:.2%}, within 20 %: {one['within_20']:.2%}",
            f"      linear regression {peer['median_ape']:.2%} and {peer['within_20']:.2%}; the median error is "
            f"{one['median_ape'] / peer['median_ape']:.2f} of its",
            f"      within the interval {one['coverage']:.1%} ({thirds}), which is {width}",
        ]
    return "\n".join([*lines, f"missed: {', '.join(missed)}" if missed else "every figure is reached"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_quality", description=(__doc__ or "")[:120])
    parser.add_argument("--listings", type=Path, required=True)
    parser.add_argument("--preset", "--effort", dest="preset", choices=list(SECONDS_ALLOWED), default="full")
    parser.add_argument("--divisions", type=int, default=DIVISIONS)
    parser.add_argument("--division", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
