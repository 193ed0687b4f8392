"""The error in a drift report without actual prices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homeprices.drift.live_comparison import _error
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.manifest import INTERVAL_LOG_WIDTH, MANIFEST_FILE
from tests.support.bundles import make_bundle

VISITS = [{"low": 50.0, "high": 50.0 * factor} for factor in (2.0, 4.0, 8.0)]


def bundle(folder: Path, **metrics: float) -> Bundle:
    """A bundle with a median error of 20 %, its interval from 0.7 to 1.5 times the estimate."""
    manifest = json.loads((make_bundle(folder, "BO1") / MANIFEST_FILE).read_text())
    manifest["metrics"] |= metrics
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    return Bundle.open(folder)


def test_the_live_intervals_are_compared_with_those_of_the_hold_out(tmp_path: Path) -> None:
    """Their middle is ln 4; where the hold-out's was ln 2, errors should be twice as large."""
    found = _error(bundle(tmp_path, **{INTERVAL_LOG_WIDTH: 0.6931471805599453}), [], VISITS)
    assert found["estimated_median_ape"] == pytest.approx(0.4)


def test_a_bundle_from_before_it_said_its_width_has_that_of_its_one_interval(tmp_path: Path) -> None:
    found = _error(bundle(tmp_path), [], VISITS)
    assert found["estimated_median_ape"] == pytest.approx(0.2 * 1.3862943611198906 / 0.7621400520468967)


def test_a_bundle_that_does_not_say_how_large_its_error_was_says_nothing(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    manifest = made.manifest.model_copy(update={"metrics": {}})
    assert _error(Bundle(made.folder, manifest, made.columns), [], VISITS) is None
