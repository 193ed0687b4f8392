"""Whether a bundle may be published: its behaviour, its size, and that it knows more than a constant does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from homeprices.errors import PublicationRefused
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.manifest import DRAFT_FILE, FileDigest
from homeprices.pricing.predictor import Predictor
from homeprices.training.behaviour import Check, check_behaviour

MAX_MEGABYTES = 25
BYTES_A_MEGABYTE = 1_000_000
"""Every serving process downloads each version and keeps the last few."""

BASELINE = "constant_median_ape"
"""The metric of the median training price, given as every home's estimate."""


class Report(BaseModel):
    """The checks of a bundle and its metrics on the hold-out."""

    model_config = ConfigDict(frozen=True)

    version: str
    estimator: str
    metrics: dict[str, float]
    checks: list[Check]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def inspect(bundle: Bundle) -> Report:
    """Run every check of a verified bundle. Raises BundleRefused when it cannot be loaded or replayed."""
    checks = [
        *check_behaviour(Predictor(bundle)),
        _beats_constant(bundle.manifest.metrics),
        _fits(bundle.manifest.files),
    ]
    manifest = bundle.manifest
    return Report(version=bundle.version, estimator=manifest.estimator, metrics=manifest.metrics, checks=checks)


def check(folder: Path) -> Report:
    """Verify and inspect the bundle or draft in `folder`. Raises PublicationRefused with every failed check and why."""
    bundle = Bundle.open_draft(folder) if (folder / DRAFT_FILE).exists() else Bundle.open(folder)
    report = inspect(bundle)
    failed = [f"{check.name}: {check.detail}" for check in report.checks if not check.passed]
    if failed:
        raise PublicationRefused(f"{report.estimator} failed: " + " | ".join(failed))
    return report


def _fits(files: Mapping[str, FileDigest]) -> Check:
    size = sum(file.size for file in files.values()) / BYTES_A_MEGABYTE
    largest = max(files, key=lambda name: files[name].size)
    return Check(
        name=f"the bundle has at most {MAX_MEGABYTES} MB",
        passed=size <= MAX_MEGABYTES,
        detail=f"{size:.1f} MB, {files[largest].size / BYTES_A_MEGABYTE:.1f} of them {largest}",
    )


def _beats_constant(metrics: dict[str, float]) -> Check:
    found, constant = metrics.get("median_ape"), metrics.get(BASELINE)
    known = found is not None and constant is not None
    return Check(
        name="the median error is smaller than a constant's",
        passed=bool(known and found < constant),  # type: ignore[operator]
        detail=f"median error {found}, a constant's {constant}",
    )
