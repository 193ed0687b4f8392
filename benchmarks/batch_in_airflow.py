"""A batch job of millions of rows through the Airflow of a running stack, in which a worker is killed.

python -m benchmarks.batch_in_airflow --rows 10000000 --kill 'docker kill homeprices-airflow-worker-1'

Generates the homes into the bucket, a few of them broken, starts `batch_scoring_dag`, runs the command once a quarter
of the partitions is done, waits for the end, and then checks that every row is in the results exactly once, estimated
or rejected. The settings are those of the stack (`.stack/env` or `.env`).
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import machine
from homeprices.adapters.airflow_client import AirflowClient
from homeprices.adapters.object_store import Bucket, open_bucket
from homeprices.data.cleaning import clean
from homeprices.data.synthetic import make_listings
from homeprices.names import BATCH_DAG
from homeprices.settings import load_settings

SEED = 7
FILE_ROWS, GROUP_ROWS = 1_000_000, 100_000
BROKEN_EVERY = 1_000
"""One row in so many has no bedroom, which no estimate can be given for."""

LOOK_SECONDS = 2.0
LONGEST_SECONDS = 3 * 3600


def main(arguments: list[str] | None = None) -> int:
    """Run a job and write the result; return 1 when a row is missing, duplicated or wrongly estimated or rejected."""
    options = _parser().parse_args(arguments)
    settings = load_settings()
    bucket = open_bucket(settings)
    job = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{options.rows}"
    source = f"data/batch/{job}/"
    for number, body in enumerate(homes(options.rows)):
        bucket.put(f"{source}homes-{number:03}.parquet", body)
        print(f"file {number}: {len(body):,} bytes", file=sys.stderr)
    with AirflowClient(settings) as airflow:
        started = time.monotonic()
        run_id = airflow.trigger(BATCH_DAG, {"source": source, "job": job, "bundle": options.bundle})
        tasks = follow(airflow, run_id, options.kill)
        seconds = time.monotonic() - started
    found = account(bucket, job, options.rows)
    scored = [task for task in tasks if task["task_id"] == "score"]
    results = {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine.describe(),
        "bundle": options.bundle,
        "rows": options.rows,
        "partitions": len(scored),
        "tries": sum(task["try_number"] for task in scored),
        "workers": len({task["hostname"] for task in scored}),
        "killed": options.kill,
        "seconds": round(seconds, 1),
        "rows_per_second": round(options.rows / seconds),
        **found,
    }
    print(json.dumps(results, indent=2))
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n")
    return 0 if found["lost"] == found["doubled"] == found["misjudged"] == 0 else 1


def homes(rows: int) -> Iterator[bytes]:
    """Parquet files of up to a million homes each, drawn from synthetic listings; every thousandth is broken."""
    listings = clean(make_listings(seed=SEED)).rows.drop(columns="price").astype({"bhk": int, "bath": int})
    for start in range(0, rows, FILE_ROWS):
        count = min(FILE_ROWS, rows - start)
        drawn: pd.DataFrame = listings.sample(count, replace=True, random_state=SEED + start).reset_index(drop=True)
        drawn["id"] = np.arange(start, start + count)
        drawn.loc[drawn["id"] % BROKEN_EVERY == 0, "bhk"] = 0
        target = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(drawn, preserve_index=False), target, row_group_size=GROUP_ROWS)
        yield target.getvalue()


def follow(airflow: AirflowClient, run_id: str, kill: str | None) -> list[dict[str, Any]]:
    """Return the task instances of the run at its end.

    Raises RuntimeError when it fails or does not end within hours.
    """
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        state = airflow.run(BATCH_DAG, run_id)["state"]
        tasks = airflow.tasks(BATCH_DAG, run_id)
        if state in ("success", "failed"):
            if state == "failed":
                raise RuntimeError(f"the run {run_id} failed; its tasks: {[(t['task_id'], t['state']) for t in tasks]}")
            return tasks
        scored = [task["state"] for task in tasks if task["task_id"] == "score"]
        if kill and len(scored) > 1 and scored.count("success") >= len(scored) / 4:
            print(f"{scored.count('success')} of {len(scored)} partitions are done: {kill}", file=sys.stderr)
            subprocess.run(kill, shell=True, check=True)  # noqa: S602 - given by whoever runs this
            kill = None
    raise RuntimeError(f"the run {run_id} has not ended after {LONGEST_SECONDS} s")


def account(bucket: Bucket, job: str, rows: int) -> dict[str, int]:
    """Return the numbers of estimated, rejected, missing, duplicated and wrongly treated rows."""
    estimates, refusals = np.zeros(rows, np.uint8), np.zeros(rows, np.uint8)
    for entry in bucket.list(f"batch/{job}/partitions/"):
        body = bucket.get(entry.key).body
        if entry.key.endswith(".parquet"):
            ids = pq.read_table(io.BytesIO(body), columns=["id"])["id"].to_numpy().astype(np.int64)
            np.add.at(estimates, ids, 1)
        elif entry.key.endswith(".jsonl"):
            ids = np.array([number_of(json.loads(line)) for line in body.splitlines()], np.int64)
            np.add.at(refusals, ids, 1)
    times = estimates + refusals
    broken = np.arange(rows) % BROKEN_EVERY == 0
    return {
        "estimated": int((estimates > 0).sum()),
        "refused": int((refusals > 0).sum()),
        "lost": int((times == 0).sum()),
        "doubled": int((times > 1).sum()),
        "misjudged": int((refusals > 0)[~broken].sum() + (estimates > 0)[broken].sum()),
    }


def number_of(refused: dict[str, Any]) -> int:
    """Return the `id` of a rejected row, from the number of its file and its position there."""
    return int(Path(refused["file"]).stem.rpartition("-")[2]) * FILE_ROWS + int(refused["row"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch_in_airflow", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument(
        "--bundle", default="production", help="the bundle that scores: BO1, CO1, by default production's"
    )
    parser.add_argument("--kill", help="a shell command to run once a quarter of the partitions is done")
    parser.add_argument("--out", type=Path, help="where to write the results as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
