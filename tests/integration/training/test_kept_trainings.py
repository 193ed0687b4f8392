"""A training that is taken from where it is kept gives what the training gave."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from homeprices.data.cleaning import clean
from homeprices.data.preparation import prepare
from homeprices.pricing.bundle import Bundle
from homeprices.training.mlflow_model import MLMODEL_FILE
from tests.integration.training.conftest import SEED, TINY
from tests.support import kept, trainings

AT = datetime(2026, 11, 1, tzinfo=UTC)


def counting(name: str, made: list[str]) -> Callable[..., Any]:
    """Return the function of this name, which adds its name to the list each time."""
    real = getattr(trainings, name)

    def called(*values: Any, **more: Any) -> Any:
        made.append(name)
        return real(*values, **more)

    return called


def test_it_equals_the_first_in_all_but_the_run_and_is_made_once(
    raw: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PLACE", tmp_path / "place")
    made: list[str] = []
    for name in ("_cross_validate", "_build_bundle"):
        monkeypatch.setattr(trainings, name, counting(name, made))
    prepared = prepare(clean(raw))
    dataset = prepared.reference(version=4, key="data/raw/train_V4.csv", sha256="a" * 64)

    def train(seed: int, run: str, imported: datetime = AT) -> tuple[float, Path]:
        result, folds = trainings.cross_validate("ridge", prepared.training, seed, TINY)
        trainings.build_bundle(
            "ridge", prepared, dataset=dataset.model_copy(update={"imported_at": imported}),
            out=tmp_path / run, seed=seed, git_revision="b" * 40,
            mlflow_run_id=run, preset=TINY, out_of_fold=folds,
        )  # fmt: skip
        return result.mean["median_ape"], tmp_path / run

    (error, first), (error_again, second) = train(SEED, "first"), train(SEED, "second")
    assert made == ["_cross_validate", "_build_bundle"] and error == error_again
    drafts = [Bundle.open_draft(folder).manifest for folder in (first, second)]
    assert [draft.mlflow_run_id for draft in drafts] == ["first", "second"]
    assert [json.loads((folder / MLMODEL_FILE).read_text())["run_id"] for folder in (first, second)] == [
        "first", "second",
    ]  # fmt: skip
    files = {name for name in drafts[0].files if drafts[0].files[name] != drafts[1].files[name]}
    assert files == {MLMODEL_FILE}
    _, later = train(SEED, "later", AT + timedelta(days=1))
    assert Bundle.open_draft(later).manifest.dataset.imported_at == AT + timedelta(days=1) and len(made) == 2
    assert train(SEED + 1, "third")[0] != error and len(made) == 4
