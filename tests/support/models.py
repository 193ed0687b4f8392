"""Small trained bundles: the listings, seed and preset are the same each time, so the files should be, too.

`python -m tests.support.models ESTIMATOR FOLDER` writes one from a process of its own, with its own BLAS threads.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from homeprices.adapters.object_store import Bucket
from homeprices.data import preparation
from homeprices.data.cleaning import clean
from homeprices.data.synthetic import make_listings
from homeprices.model.presets import preset
from homeprices.registry import bundle_publisher
from homeprices.training import bundle_builder

ROWS, LISTINGS_SEED, SEED = 1_000, 11, 3


def train_draft(estimator: str, folder: Path) -> None:
    """Train on synthetic listings with the preset `quick` and write the draft bundle into the folder."""
    prepared = preparation.prepare(clean(make_listings(ROWS, seed=LISTINGS_SEED)))
    bundle_builder.build_bundle(
        estimator,
        prepared,
        dataset=prepared.reference(version=4, key="data/raw/train_V4.csv", sha256="a" * 64),
        out=folder,
        seed=SEED,
        git_revision="b" * 40,
        mlflow_run_id=None,
        preset=preset("quick"),
        created_at=datetime(2026, 2, 1, tzinfo=UTC),
    )


def publish_candidate(bucket: Bucket, folder: Path) -> None:
    """Stage the draft bundle of a folder and publish it as the next candidate; what was staged stays."""
    bundle_publisher.stage(bucket, "run", folder)
    bundle_publisher.publish(bucket, "run", "CO")


if __name__ == "__main__":
    train_draft(sys.argv[1], Path(sys.argv[2]))
