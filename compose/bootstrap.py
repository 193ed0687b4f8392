"""What the first `up` does by itself: a dataset, if there is none, and a training run, if there is no model.

The first run publishes BO1 and asks for a candidate; the run that follows from it publishes CO1. The dataset is the
file that DATASET names, mounted here, or synthetic listings.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.adapters.object_store import Bucket, open_bucket
from homeprices.errors import HomePricesError, NotFound, NotReady, Unavailable
from homeprices.names import BUNDLE_KIND, TRAINING_DAG
from homeprices.registry import bundle_reader
from homeprices.settings import load_settings

MOUNTED_DATASET = Path("/data/listings.csv")
DAGS_READ_SECONDS = 300
LOOK_SECONDS = 3
ACTIVE = {"queued", "running"}


def import_dataset(given: Path = MOUNTED_DATASET) -> None:
    """Store the mounted file, or synthetic listings. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        source = given
        if not given.is_file():  # a device: nothing was mounted
            source = Path(folder) / "synthetic.csv"
            _data("synthesize", "--out", str(source))
        _data("import", str(source), "--no-notify")


def train(airflow: AirflowClient) -> str:
    """Start the pipeline unless it is at work, once Airflow has read the DAGs. Raises NotReady when it does not."""
    deadline = time.monotonic() + DAGS_READ_SECONDS
    while True:
        try:
            active = [run["dag_run_id"] for run in airflow.runs(TRAINING_DAG) if run["state"] in ACTIVE]
            return str(active[0]) if active else airflow.trigger(TRAINING_DAG)
        except (NotFound, Unavailable) as error:
            if time.monotonic() > deadline:
                raise NotReady(f"after {DAGS_READ_SECONDS} s {TRAINING_DAG} cannot be started: {error}") from error
        time.sleep(LOOK_SECONDS)


def has_dataset(bucket: Bucket) -> bool:
    """Whether any dataset was ever stored."""
    return next(iter(bucket.list("data/raw/")), None) is not None


def main() -> int:
    """The command line."""
    try:
        settings = load_settings()
        bucket = open_bucket(settings)
        if production := bundle_reader.highest(bucket, BUNDLE_KIND["production"]):
            print(f"bootstrap: {production} is there; nothing to do")
            return 0
        if not has_dataset(bucket):
            import_dataset()
        with AirflowClient(settings) as airflow:
            print(f"bootstrap: training as {train(airflow)}")
    except (HomePricesError, subprocess.CalledProcessError) as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 1
    return 0


def _data(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "homeprices.data", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
