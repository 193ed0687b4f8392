"""The first run of a compose stack: import a dataset if there is none, and start a training run if there is no model.

The dataset is the file that DATASET names, mounted here, or synthetic listings.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.adapters.object_store import Bucket, open_bucket
from homeprices.errors import HomePricesError, NotFound, NotReady, Unavailable
from homeprices.names import BUNDLE_KIND, TRAINING_DAG
from homeprices.registry import bundle_reader
from homeprices.settings import load_settings
from homeprices.workflows import first_run

MOUNTED_DATASET = Path("/data/listings.csv")
DAGS_READ_SECONDS = 300
POLL_SECONDS = 3


def import_dataset(mounted: Path = MOUNTED_DATASET) -> None:
    """Store the mounted file, or synthetic listings. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        # If nothing is mounted, the path is a device.
        first_run.import_dataset(_homeprices, mounted if mounted.is_file() else None, Path(folder), notify=False)


def train(airflow: AirflowClient) -> str:
    """Return the id of the active training run, or of a new one, once Airflow has read the DAGs. Raises NotReady."""
    deadline = time.monotonic() + DAGS_READ_SECONDS
    while True:
        try:
            return first_run.start_training(airflow)
        except (NotFound, Unavailable) as error:
            if time.monotonic() > deadline:
                raise NotReady(f"after {DAGS_READ_SECONDS} s {TRAINING_DAG} cannot be started: {error}") from error
        time.sleep(POLL_SECONDS)


def has_dataset(bucket: Bucket) -> bool:
    """Return whether any dataset was ever stored."""
    return next(iter(bucket.list("data/raw/")), None) is not None


def main() -> int:
    """Run the steps that are missing; return 0, or 1 after one line on standard error."""
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


def _homeprices(arguments: Sequence[str]) -> None:
    subprocess.run([sys.executable, "-m", "homeprices", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
