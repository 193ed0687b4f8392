"""Prepare the contenders: listings, the bundles that the pipeline would publish from them, and the peers' models."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from benchmarks.environments import REQUIREMENTS, environment
from homeprices.data import cleaning, preparation
from homeprices.data.schema import read_listings, to_csv
from homeprices.data.synthetic import make_listings
from homeprices.model.estimators import ESTIMATORS
from homeprices.pricing.manifest import Manifest
from homeprices.training import bundle_builder, cross_validation

SEED = 7
TRAIN_SECONDS = 900
_TRAIN = Path(__file__).parent / "peers/train.py"


def listings(home: Path, given: Path | None) -> Path:
    """Return a CSV of clean listings: of `given`, else synthetic ones, as many as in the public dataset."""
    path = home / "listings.csv"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        body = given.read_bytes() if given else to_csv(make_listings())
        cleaning.clean(read_listings(body)).rows.to_csv(path, index=False)
    return path


def bundle(home: Path, given: Path | None, *, simple: bool) -> Path:
    """Return the bundle that the pipeline would publish: the best of the simple estimators, or of all."""
    folder = home / ("simple" if simple else "best")
    if not (folder / "manifest.json").exists():
        _build(folder, given, simple=simple)
    return folder


def _build(folder: Path, given: Path | None, *, simple: bool) -> None:
    body = given.read_bytes() if given else to_csv(make_listings())
    prepared = preparation.prepare(cleaning.clean(read_listings(body)))
    names = [name for name, spec in ESTIMATORS.items() if spec.simple or not simple]
    chosen = cross_validation.select_estimator(
        [cross_validation.cross_validate(name, prepared.training, SEED)[0] for name in names], simple_only=simple
    )
    draft = bundle_builder.build_bundle(
        chosen,
        prepared,
        dataset=prepared.reference(version=1, key="data/raw/train_V1.csv", sha256=hashlib.sha256(body).hexdigest()),
        out=folder,
        seed=SEED,
        git_revision="unknown",
        mlflow_run_id=None,
    )
    manifest: Manifest = draft.publish(version="BO1", promoted_from=None, published_by="benchmark")
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2))


def peer_model(peer: str, home: Path, rows: Path) -> Path:
    """Return the folder of the peer's model, fitted in the peer's environment."""
    folder = home / "models" / peer
    if not (folder / "model.pkl").exists():
        python = environment(peer, home) / "python"
        subprocess.run([python, _TRAIN, rows, folder], check=True, timeout=TRAIN_SECONDS)
    return folder


def prepare_peers(home: Path, rows: Path) -> dict[str, Path]:
    """Fit the models of all peers."""
    return {peer: peer_model(peer, home, rows) for peer in REQUIREMENTS}
