"""Build the draft bundle of an estimator: fit all training rows, score the hold-out once, write every file."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd

from homeprices.data.preparation import PreparedDataset, to_homes
from homeprices.errors import PublicationRefused
from homeprices.model import price_model
from homeprices.model.calibration import COVERAGE, OutOfFoldPredictions
from homeprices.model.estimators import estimator
from homeprices.model.feature_matrix import form_only
from homeprices.model.fitting import fit_calibrated
from homeprices.model.presets import QUICK, Preset
from homeprices.model.price_model import Estimates, PriceModel
from homeprices.pricing.bundle import COLUMNS_FILE, MODEL_FILE, Bundle, digest
from homeprices.pricing.features import MISSING
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import LOCATION, NUMBERS, OPTIONAL
from homeprices.pricing.manifest import (
    DRAFT_FILE,
    INTERVAL_LOG_WIDTH,
    MANIFEST_FILE,
    REFERENCE_FILE,
    Columns,
    DatasetReference,
    Draft,
    Golden,
    Input,
    Interval,
)
from homeprices.pricing.market import MARKET_FILE, PLACE_PRICES_FILE, Market
from homeprices.pricing.predictor import HIGH_OUTPUT, LOW_OUTPUT, OUTPUT
from homeprices.training.bundle_metadata import reference_distributions
from homeprices.training.cross_validation import cross_validate
from homeprices.training.market_summary import summarize_market
from homeprices.training.mlflow_model import write_mlflow_model
from homeprices.training.regression_metrics import (
    ALL_INPUTS_PREFIX,
    HoldoutScore,
    coverage,
    measure_accuracy,
    measure_both,
)
from homeprices.training.validation import BASELINE
from homeprices.training.validation_report import write_report

ONNX_RELATIVE_TOLERANCE = 1e-4
GOLDEN_HOMES = 5
LIBRARIES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy", "pandas", "pydantic")


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
    created_at: datetime | None = None,
) -> Draft:
    """Write a complete draft into the folder `out` and return it.

    The model is fitted on the training rows only. `out_of_fold` are the estimator's own predictions from
    cross-validation, which runs here when they are not passed. Raises PublicationRefused when the ONNX graph does
    not give the estimator's prices, InvalidInput for an unknown estimator.
    """
    training, quality = prepared.training, prepared.quality
    out_of_fold = out_of_fold or cross_validate(name, training, seed, preset)[1]
    model = fit_calibrated(estimator(name), training, out_of_fold, seed, preset)
    out.mkdir(parents=True, exist_ok=True)
    (out / MODEL_FILE).write_bytes(model.to_onnx().SerializeToString(deterministic=True))
    score = score_holdout(model, prepared.holdout)
    difference = require_onnx_parity(model, out / MODEL_FILE, score)
    inputs = model.encode(training)
    estimates = model.estimate(form_only(inputs))
    columns = _columns(model, training, estimates)
    reference = reference_distributions(inputs, estimates.price, [spec.name for spec in columns.inputs])
    _write(out / COLUMNS_FILE, columns.model_dump(mode="json"))
    created_at = created_at or datetime.now(UTC)
    write_mlflow_model(out, created_at=created_at, run_id=mlflow_run_id)
    (out / REFERENCE_FILE).write_text(reference.model_dump_json(indent=1))
    (out / MARKET_FILE).write_text(_market(training, inputs, score).model_dump_json())
    _write(out / "quality.json", quality)
    base = prepared.base if prepared.time_adjusted else None
    if base is not None:
        (out / PLACE_PRICES_FILE).write_text(base.model_dump_json())
    price_model.save(model, out / "model.skops")
    draft = Draft(
        created_at=created_at,
        dataset=dataset,
        git_revision=git_revision,
        libraries={"python": platform.python_version(), **{library: version(library) for library in LIBRARIES}},
        estimator=name,
        mlflow_run_id=mlflow_run_id,
        metrics=_metrics(score, float(training["price"].median())),
        golden=_golden(out / MODEL_FILE, model, prepared.holdout),
        files={path.name: digest(path) for path in sorted(out.iterdir()) if path.name in _BEFORE_REPORT},
        place_prices_as_of=base.as_of if base else None,
    )
    write_report(Bundle(out, draft, columns), model, training, score, quality=quality, onnx_difference=difference)
    draft = draft.model_copy(update={"files": _digests(out)})
    (out / DRAFT_FILE).write_text(draft.model_dump_json(indent=2))
    return draft


_BEFORE_REPORT = {
    *(MODEL_FILE, COLUMNS_FILE, REFERENCE_FILE, MARKET_FILE, PLACE_PRICES_FILE),
    *("quality.json", "model.skops"),
}


def score_holdout(model: PriceModel, rows: pd.DataFrame) -> HoldoutScore:
    """The model's estimates of the hold-out rows, from the form's fields and from all inputs."""
    inputs = model.encode(rows)
    return HoldoutScore(rows, inputs, form=model.estimate(form_only(inputs)), full=model.estimate(inputs))


def require_onnx_parity(model: PriceModel, path: Path, score: HoldoutScore) -> float:
    """The largest relative difference between graph and estimator on any hold-out row, from the form and all inputs.

    Raises PublicationRefused, naming the first rows, when one is above 1e-4.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    largest = 0.0
    for expected, inputs in ((score.form, form_only(score.inputs)), (score.full, score.inputs)):
        answered = _run(session, model, inputs)
        for name in ("price", "low", "high"):
            difference = np.abs(getattr(answered, name) / getattr(expected, name) - 1)
            wrong = ~(difference <= ONNX_RELATIVE_TOLERANCE)  # `not <=` also finds NaN
            if wrong.any():
                lines = ", ".join(str(line) for line in inputs.index[wrong][:5])
                raise PublicationRefused(
                    f"the {name} of the ONNX graph of {model.estimator} differs on {wrong.sum()} rows (lines {lines})"
                )
            largest = max(largest, float(difference.max(initial=0.0)))
    return largest


def _run(session: Any, model: PriceModel, inputs: pd.DataFrame) -> Estimates:
    kinds = {"number": np.float32, "text": object}
    feed = {name: inputs[name].to_numpy(kinds[kind]).reshape(-1, 1) for name, kind in model.inputs()}
    answers = session.run([OUTPUT, LOW_OUTPUT, HIGH_OUTPUT], feed)
    return Estimates(*(np.asarray(answer, dtype=np.float64).ravel() for answer in answers))


def _market(training: pd.DataFrame, inputs: pd.DataFrame, score: HoldoutScore) -> Market:
    """The market of the training rows, with the accuracy of the model on the hold-out."""
    market = summarize_market(training, inputs)
    accuracy = measure_accuracy(score, {name: place.homes for name, place in market.places.items()})
    return market.model_copy(update={"accuracy": accuracy})


def _columns(model: PriceModel, training: pd.DataFrame, estimates: Estimates) -> Columns:
    numbers = [name for name, kind in model.inputs() if kind == "number"]
    return Columns(
        inputs=tuple(Input(name=name, type=kind) for name, kind in model.inputs()),
        locations=model.location_names,
        interval=_median_interval(estimates),
        ranges={name: (float(training[name].min()), float(training[name].max())) for name in numbers},
    )


def _median_interval(estimates: Estimates) -> Interval:
    """The median bounds, relative to the price: the interval for readers that do not know the graph's own bounds."""
    low, high = (float(np.median(bound / estimates.price)) for bound in (estimates.low, estimates.high))
    return Interval(coverage=COVERAGE, lower_factor=low, upper_factor=high)


def _metrics(score: HoldoutScore, median_training_price: float) -> dict[str, float]:
    prices, form, full = score.prices, score.form, score.full
    covered = coverage(prices, full.cover(prices))
    return (
        measure_both(prices, form.price, full.price)
        | coverage(prices, form.cover(prices))
        | {ALL_INPUTS_PREFIX + name: value for name, value in covered.items()}
        | {INTERVAL_LOG_WIDTH: form.log_width, ALL_INPUTS_PREFIX + INTERVAL_LOG_WIDTH: full.log_width}
        | {BASELINE: float(np.median(np.abs(median_training_price - prices) / prices))}
    )


def _golden(path: Path, model: PriceModel, holdout: pd.DataFrame) -> tuple[Golden, ...]:
    """Hold-out homes at regular distances, from all inputs and from the form's, and one in an unknown location."""
    full, form = to_homes(holdout), to_homes(holdout, form=True)
    step = max(1, len(full) // GOLDEN_HOMES)
    homes = [*full[::step][:GOLDEN_HOMES], *form[::step][:GOLDEN_HOMES]]
    homes.append(homes[0].model_copy(update={LOCATION: "A Place Nobody Knows"}))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rows = pd.DataFrame([_row(home) for home in homes])
    estimates = _run(session, model, model.encode(rows))
    answers = zip(estimates.price.tolist(), estimates.low.tolist(), estimates.high.tolist(), strict=True)
    return tuple(
        Golden(input=home.model_dump(exclude_none=True), estimated_price=price, low=low, high=high)
        for home, (price, low, high) in zip(homes, answers, strict=True)
    )


def _row(home: Home) -> dict[str, Any]:
    missing: dict[str, Any] = {name: np.nan if name in NUMBERS else MISSING for name in OPTIONAL}
    return {**missing, **home.model_dump(exclude_none=True)}


def _digests(folder: Path) -> dict[str, Any]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    own = {MANIFEST_FILE, DRAFT_FILE}
    return {path.relative_to(folder).as_posix(): digest(path) for path in paths if path.name not in own}


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1))
