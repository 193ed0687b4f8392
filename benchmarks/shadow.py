"""The shadow comparison of a candidate: time and memory for 100,000 logged homes, and how often a sound one is stopped.

python -m benchmarks.shadow --out benchmarks/results/shadow.json

A real PostgreSQL holds what visitors asked for: listings with other areas, three of each visitor. Production is the
best simple estimator, the candidate the best of all. The process that compares does nothing else, so its peak is the
memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import create_engine, insert

from benchmarks import machine
from homeprices.adapters.database import upgrade
from homeprices.adapters.object_store import MemoryBucket
from homeprices.names import BUNDLE_KIND
from homeprices.predictions.tables import prediction_logs
from homeprices.registry import bundle_publisher
from homeprices.resources import Resources
from homeprices.settings import load_settings
from homeprices.workflows.candidates.shadow import compare_in_shadow
from tests.integration.predictions.conftest import database_variables
from tests.support.servers import temporary_servers

ALLOWED_SECONDS, ALLOWED_MEGABYTES = 60.0, 500.0
OF_A_VISITOR = 3


def log_homes(url: str, given: Path | None, count: int) -> None:
    """Write so many homes of the listings, with other areas, to the prediction log."""
    from homeprices.data.cleaning import clean
    from homeprices.data.preparation import to_homes
    from homeprices.data.schema import read_listings, to_csv
    from homeprices.data.synthetic import make_listings

    body = given.read_bytes() if given else to_csv(make_listings())
    homes = to_homes(clean(read_listings(body)).rows, form=True)
    chance, now = np.random.default_rng(1), datetime.now(UTC)
    rows = []
    for number, pick in enumerate(chance.integers(0, len(homes), count).tolist(), 1):
        inputs = homes[pick].model_dump(exclude_none=True)
        inputs["total_sqft"] = float(min(max(round(inputs["total_sqft"] * chance.uniform(0.9, 1.1)), 100), 100_000))
        rows.append({
            "id": number, "ts": now - timedelta(seconds=5 * 86_400 * number / count), "request_id": "benchmark",
            "visitor": f"v{number // OF_A_VISITOR}", "assigned_variant": "production", "served_variant": "production",
            "fallback": False, "bundle": "BO1", "epoch": 1, "inputs": inputs, "estimate": 50.0, "interval_low": 40.0,
            "interval_high": 60.0, "milliseconds": 2.0,
        })  # fmt: skip
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(prediction_logs), rows)
    engine.dispose()


def compare(variables: dict[str, str], production: Path, candidate: Path) -> dict[str, Any]:
    """Compare the two bundles in this process, and return the result with its time and peak memory."""
    bucket = MemoryBucket()
    bundle_publisher.stage(bucket, "first", production)
    bundle_publisher.publish(bucket, "first", BUNDLE_KIND["production"])
    bundle_publisher.stage(bucket, "second", candidate)
    started = time.perf_counter()
    report = compare_in_shadow(Resources(load_settings(variables, ()), bucket), "second")
    seconds = time.perf_counter() - started
    found = report.found
    if found is None or found.overall is None:
        raise SystemExit(report.sentence)
    places = [group.apart.ratio for group in found.groups if group.by == "place" and group.apart.ratio is not None]
    return {
        "homes": found.homes,
        "seconds": round(seconds, 1),
        "peak_megabytes": _peak_megabytes(),
        "beyond_the_factor": found.overall.beyond,
        "p99_factor": found.overall.p99,
        "median_change": found.overall.ratio,
        "places": len(places),
        "largest_change_of_a_place": max((abs(ratio - 1) for ratio in places), default=None),
        "objection": report.objection,
        "microseconds_a_call": found.microseconds,
    }


def _peak_megabytes() -> int:
    """Return this process's own peak; `getrusage` would also count that of its parent before the start."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1000


def main() -> int:
    """Run the command line; return 1 when the comparison takes longer or more memory than allowed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--homes", type=int, default=100_000)
    parser.add_argument("--listings", type=Path, help="file of listings (default: synthetic ones)")
    parser.add_argument("--home", type=Path, default=Path(".bench"), help="folder of the bundles of `make bench`")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    from benchmarks import preparation  # here, so that the process that compares does not have what trains

    production, candidate = (
        preparation.bundle(chosen.home, chosen.listings, simple=simple) for simple in (True, False)
    )
    with temporary_servers() as (_, servers):
        url = servers.postgres("shadow")
        variables = {**database_variables(url), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
        upgrade(load_settings(variables, ()))
        log_homes(url, chosen.listings, chosen.homes)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            measured = pool.apply(compare, (variables, production, candidate))
    content = json.dumps({"machine": machine.describe(), **measured}, indent=1)
    print(content)
    if chosen.out:
        chosen.out.write_text(content + "\n")
    return int(measured["seconds"] > ALLOWED_SECONDS or measured["peak_megabytes"] > ALLOWED_MEGABYTES)


if __name__ == "__main__":
    raise SystemExit(main())
