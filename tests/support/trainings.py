"""Training steps whose results are kept, for tests of what a run does with them. Other tests train for real."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from homeprices.data.preparation import PreparedDataset
from homeprices.model.calibration import OutOfFoldPredictions
from homeprices.model.presets import QUICK, Preset
from homeprices.pricing.bundle import digest
from homeprices.pricing.manifest import DRAFT_FILE, DatasetReference, Draft
from homeprices.training import bundle_builder, cross_validation
from homeprices.training.cross_validation import CrossValidation
from homeprices.training.mlflow_model import write_mlflow_model
from tests.support.kept import kept

_cross_validate, _build_bundle = cross_validation.cross_validate, bundle_builder.build_bundle


def keep_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the training run take cross-validations and bundles that equal earlier ones from where they are kept."""
    monkeypatch.setattr(cross_validation, "cross_validate", cross_validate)
    monkeypatch.setattr(bundle_builder, "build_bundle", build_bundle)


def cross_validate(
    name: str, rows: pd.DataFrame, seed: int, preset: Preset = QUICK
) -> tuple[CrossValidation, OutOfFoldPredictions]:
    """Return what `homeprices.training.cross_validation.cross_validate` returns."""

    def make(folder: Path) -> None:
        result, out_of_fold = _cross_validate(name, rows, seed, preset)
        (folder / "result.json").write_text(result.model_dump_json())
        (folder / "out_of_fold.npz").write_bytes(out_of_fold.to_bytes())

    folder = kept(f"scores-{_key(name, _of(rows), seed, preset)}", make)
    result = CrossValidation.model_validate_json((folder / "result.json").read_text())
    return result, OutOfFoldPredictions.from_bytes((folder / "out_of_fold.npz").read_bytes())


def build_bundle(
    name: str,
    prepared: PreparedDataset,
    *,
    dataset: DatasetReference,
    out: Path,
    seed: int,
    git_revision: str,
    mlflow_run_id: str | None,
    preset: Preset = QUICK,
    out_of_fold: OutOfFoldPredictions | None = None,
) -> Draft:
    """Write what `homeprices.training.bundle_builder.build_bundle` writes and return it, under the run's own id.

    The report of rows that were imported at another time names that time; the draft names its own.
    """

    def make(folder: Path) -> None:
        _build_bundle(
            name, prepared, dataset=dataset, out=folder, seed=seed, git_revision=git_revision, mlflow_run_id=None,
            preset=preset, out_of_fold=out_of_fold,
        )  # fmt: skip

    folds = "" if out_of_fold is None else _bytes(out_of_fold.form.tobytes() + out_of_fold.full.tobytes())
    of = dataset.model_dump_json(exclude={"imported_at"})
    data = (_of(prepared.rows), _bytes(prepared.held_out.tobytes()), prepared.quality, of, folds)
    folder = kept(f"bundle-{_key(name, *data, seed, git_revision, preset)}", make)
    shutil.copytree(folder, out, dirs_exist_ok=True)
    draft = Draft.model_validate_json((out / DRAFT_FILE).read_text())
    write_mlflow_model(out, created_at=draft.created_at, run_id=mlflow_run_id)
    files = {name: digest(out / name) for name in draft.files}
    draft = draft.model_copy(update={"dataset": dataset, "mlflow_run_id": mlflow_run_id, "files": files})
    (out / DRAFT_FILE).write_text(draft.model_dump_json(indent=2))
    return draft


def _key(*values: Any) -> str:
    return _bytes(repr(values).encode())


def _bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _of(rows: pd.DataFrame) -> str:
    hashed = pd.util.hash_pandas_object(rows).to_numpy().tobytes()
    return _bytes(repr([*rows.dtypes.items()]).encode() + hashed)
