from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from homeprices.data import preparation
from homeprices.data.cleaning import clean
from homeprices.data.schema import to_csv
from homeprices.data.synthetic import make_listings
from homeprices.model.estimators import estimator
from homeprices.model.feature_matrix import form_only
from homeprices.model.fitting import fit_calibrated
from homeprices.model.presets import Preset
from homeprices.model.price_model import Estimates, PriceModel
from homeprices.training.cross_validation import cross_validate

TINY = Preset("quick", folds=2, repeats=1, trees=4, rounds=15, teachers=2, knots=12, copies=2, trials=0)
SEED = 3


@pytest.fixture(scope="session")
def raw() -> pd.DataFrame:
    """Synthetic listings as they are imported."""
    return make_listings(1_000, seed=11)


@pytest.fixture(scope="session")
def rows(raw: pd.DataFrame) -> pd.DataFrame:
    """Clean rows of synthetic listings."""
    return clean(raw).rows


@pytest.fixture(scope="session")
def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows and hold-out rows."""
    return preparation.split(rows)


@pytest.fixture(scope="session")
def distilled(split: tuple[pd.DataFrame, pd.DataFrame]) -> PriceModel:
    """A small fitted model."""
    out_of_fold = cross_validate("distilled", split[0], SEED, TINY)[1]
    return fit_calibrated(estimator("distilled"), split[0], out_of_fold, SEED, TINY)


def encoded(model: PriceModel, rows: pd.DataFrame, *, form: bool) -> pd.DataFrame:
    """The model's inputs of clean rows: the form's fields only, or all."""
    inputs = model.encode(rows)
    return form_only(inputs) if form else inputs


@pytest.fixture(scope="session")
def csv_files(raw: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The listings in two files, to learn from and to be scored on."""
    folder = tmp_path_factory.mktemp("listings")
    train, test = folder / "train.csv", folder / "test.csv"
    train.write_bytes(to_csv(raw.iloc[:800]))
    test.write_bytes(to_csv(raw.iloc[800:]))
    return train, test


def run_graph(model: PriceModel, rows: pd.DataFrame, *, form: bool) -> Estimates:
    """What the model's ONNX graph answers for clean rows."""
    session = onnxruntime.InferenceSession(model.to_onnx().SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = encoded(model, rows, form=form)
    kinds = {"number": np.float32, "text": object}
    feed = {name: inputs[name].to_numpy(kinds[kind]).reshape(-1, 1) for name, kind in model.inputs()}
    return Estimates(*(answer.ravel() for answer in session.run(["estimate", "low", "high"], feed)))
