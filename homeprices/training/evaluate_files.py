"""Train on one file of listings and score another as the pipeline does, without a stack; compare all estimators."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from homeprices.data import contract
from homeprices.data.cleaning import Cleaned
from homeprices.data.listing_dates import local_day
from homeprices.data.preparation import home_keys
from homeprices.data.schema import MAX_BYTES
from homeprices.errors import DatasetRefused
from homeprices.model.calibration import COVERAGE
from homeprices.model.estimators import ESTIMATORS
from homeprices.model.feature_matrix import form_only
from homeprices.model.fitting import fit_calibrated
from homeprices.model.presets import FULL, Preset
from homeprices.model.price_model import PriceModel
from homeprices.training import ratio_study
from homeprices.training.cross_validation import CrossValidation, cross_validate, select_estimator
from homeprices.training.regression_metrics import bootstrap, coverage, measure, measure_slices
from homeprices.words import ITEMS

MIN_TRAINING_ROWS = 50
"""Fewer rows are too few for nested folds."""

# The publishable estimators that are not linear. A candidate is always one of them.
COMPARED = ("boosting", "distilled")

Inputs = Literal["form", "all"]


def evaluate(
    train: Path,
    test: Path,
    inputs: Inputs,
    *,
    seed: int,
    preset: Preset = FULL,
    compared: tuple[str, ...] = COMPARED,
) -> dict[str, Any]:
    """Train on one file of listings, score every valid row of another, and return all figures as JSON values.

    `inputs`: describe the test homes by the form's four fields, or by all fields of the file. Errors are fractions,
    prices are in lakh rupees; `read` holds the sentences of an import about each file. The model is fitted without any
    use of the test file. Raises OSError, and DatasetRefused, whose fields name the file, the option and the reason.
    """
    started = time.perf_counter()
    accepted = {"train": accept_file(train, "--train"), "test": accept_file(test, "--test")}
    training, testing = accepted["train"].cleaned, accepted["test"].cleaned
    if len(training.rows) < MIN_TRAINING_ROWS:
        problem = f"--train: {len(training.rows)} usable rows; at least {MIN_TRAINING_ROWS} are needed"
        raise DatasetRefused({str(train): problem})
    trained = train_on(training.rows, seed=seed, preset=preset, compared=compared)
    return {
        "estimator": trained.estimator,
        "title": ESTIMATORS[trained.estimator].title,
        "inputs": inputs,
        "seed": seed,
        "preset": preset.name,
        **score(trained.model, training.rows, testing.rows, inputs, seed=seed),
        "cross_validation": trained.cross_validation,
        "rows": {
            **{name: _counts(file.cleaned) for name, file in accepted.items()},
            "test_homes_that_are_in_train": _shared(training, testing),
        },
        "read": {name: file.report() for name, file in accepted.items()},
        "seconds": round(time.perf_counter() - started, 3),
    }


@dataclass(frozen=True)
class Trained:
    """The chosen estimator fitted with intervals, and the mean metrics of all compared estimators."""

    estimator: str
    model: PriceModel
    cross_validation: dict[str, dict[str, float]]


def train_on(rows: pd.DataFrame, *, seed: int, preset: Preset = FULL, compared: tuple[str, ...] = COMPARED) -> Trained:
    """Choose an estimator by cross-validation on clean training rows, and fit it on all of them."""
    results = {name: cross_validate(name, rows, seed, preset) for name in compared}
    chosen = select_estimator([result for result, _ in results.values()], simple_only=False)
    model = fit_calibrated(ESTIMATORS[chosen], rows, results[chosen][1], seed, preset)
    return Trained(chosen, model, {name: result.mean for name, (result, _) in results.items()})


def score(
    model: PriceModel, training: pd.DataFrame, rows: pd.DataFrame, inputs: Inputs, *, seed: int
) -> dict[str, Any]:
    """Metrics and coverage of a model on clean test rows; `training` are the rows that it was fitted on."""
    prices = rows["price"].to_numpy(np.float64)
    encoded = model.encode(rows)
    estimates = model.estimate(form_only(encoded) if inputs == "form" else encoded)
    inside = estimates.cover(prices)
    covered = coverage(prices, inside)
    return {
        "metrics": measure(prices, estimates.price),
        "metric_intervals_95": bootstrap(prices, estimates.price, seed),
        "interval": {
            "nominal": COVERAGE,
            "coverage": covered.pop("interval_coverage"),
            "coverage_by_price": {name.removeprefix("interval_coverage_"): value for name, value in covered.items()},
            "median_width_relative": float(np.median((estimates.high - estimates.low) / estimates.price)),
        },
        "constant_median_ape": float(np.median(np.abs(training["price"].median() - prices) / prices)),
        "groups": measure_slices(rows, training, estimates.price, inside),
        "ratio_study": ratio_study.as_json(ratio_study.ratio_study(prices, estimates.price, seed)),
    }


def accept_file(path: Path, option: str) -> contract.Accepted:
    """A file that passes every check of an import. Raises DatasetRefused that names the option."""
    with path.open("rb") as file:
        body = file.read(MAX_BYTES + 1)
    try:
        accepted = contract.accept(body, local_day(datetime.now(UTC)))
    except DatasetRefused as error:
        fields = {f"{path}: {name}": f"{option}: {problem}" for name, problem in error.fields.items()}
        raise DatasetRefused(fields) from None
    return accepted


def _counts(cleaned: Cleaned) -> dict[str, Any]:
    return {
        "rows": cleaned.raw_rows,
        "used": len(cleaned.rows),
        "duplicates": cleaned.duplicates,
        "refused": sum(cleaned.refused.values()),
        "refused_by_reason": cleaned.refused,
    }


def _shared(training: Cleaned, testing: Cleaned) -> int:
    """The number of test homes that are also in the training file, at any price: their errors are optimistic."""
    known = set(home_keys(training.rows))
    return sum(home in known for home in home_keys(testing.rows))


def compare_estimators(
    rows: pd.DataFrame, seed: int, preset: Preset, names: Iterable[str] = tuple(ESTIMATORS)
) -> list[CrossValidation]:
    """Cross-validate each estimator on the same folds of these clean rows, in the order of the table."""
    return [cross_validate(name, rows, seed, preset)[0] for name in names]


def as_markdown(results: Iterable[CrossValidation], homes: int, seed: int, preset: Preset) -> str:
    """The comparison table of `documentations/models.md`, below a line that states data, folds, seed and preset."""
    times = f"{preset.repeats} repeat{'s' if preset.repeats > 1 else ''} for publishable estimators"
    head = (
        f"{homes:,} {ITEMS}, {preset.folds} folds, {times}, seed {seed}, preset {preset.name}; "
        "means over the folds. Median error and share within 20 %."
    )
    lines = [
        head,
        "",
        "| estimator | published | form: median | form: within 20 % | all: median | all: within 20 % |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        mean = result.mean
        figures = (mean["median_ape"], mean["within_20"], mean["all_median_ape"], mean["all_within_20"])
        may = "yes" if result.monotone else "no: not monotone"
        cells = [ESTIMATORS[result.estimator].title, may, *(f"{value:.1%}" for value in figures)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
