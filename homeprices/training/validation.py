"""Checks of a bundle before publication: its behaviour, its size, and that it is more accurate than a constant.

The behaviour checks hold for any model of prices, whatever its metrics. They run on the ONNX file, with the code that
serves it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from homeprices.errors import BundleRefused, PublicationRefused
from homeprices.input_field import InputField
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import AREA, COUNTS, INPUT, INPUTS, LOCATION, PROBED_AREAS, limits_of
from homeprices.pricing.manifest import DRAFT_FILE, FileDigest
from homeprices.pricing.predictor import Estimate, Predictor
from homeprices.words import EVERYWHERE, ITEMS, SHORT_PRICE_UNIT

MAX_MEGABYTES = 25
BYTES_A_MEGABYTE = 1_000_000
"""Limited, because every serving process downloads each version and keeps the last few."""

BASELINE = "constant_median_ape"
"""The metric of the baseline: the median training price as every home's estimate."""


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
    error, constant = metrics.get("median_ape"), metrics.get(BASELINE)
    known = error is not None and constant is not None
    return Check(
        name="the median error is smaller than a constant's",
        passed=bool(known and error < constant),  # type: ignore[operator]
        detail=f"median error {error}, a constant's {constant}",
    )


# Monotone models sum float32 numbers, so the last of seven digits may decrease. A real violation is far larger.
FALL_TOLERANCE = 1e-5
AREA_STEPS = 60
PROBED_LOCATIONS = 40
PROBED_COUNTS = (1, 2, 3, 4, 6)
NO_SUCH_PLACE = f"No Such Place In {EVERYWHERE}"

# Even the largest and the smallest home that the form accepts must be priced within this factor of the range of
# training estimates. For homes larger or smaller than all of those, the limit grows in proportion to the area.
SANE_FACTOR = 10.0
SHOWN = 3

Prices = dict[Home, Estimate]


class Check(BaseModel):
    """The result of one check; `detail` names the first homes that fail it."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    detail: str


def check_behaviour(predictor: Predictor) -> list[Check]:
    """Every behaviour check of a loaded model."""
    checks: list[tuple[str, Callable[[Predictor], list[str]]]] = [
        (f"more {INPUT[AREA].noun} never costs less", _falls_with_area),
        ("a spelling with other capitals or spaces changes nothing", _spelling_matters),
        (f"an unknown {INPUT[LOCATION].noun} is priced as other", _unknown_refused),
        (f"extreme and minimal {ITEMS} have sane prices", _insane_extremes),
        ("any subset of the optional fields is priced", _subsets_fail),
    ]
    return [_run(name, find, predictor) for name, find in checks]


def _run(name: str, find: Callable[[Predictor], list[str]], predictor: Predictor) -> Check:
    try:
        broken = find(predictor)
    except BundleRefused as error:
        broken = [str(error)]
    more = f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
    return Check(name=name, passed=not broken, detail="; ".join(broken[:SHOWN]) + more)


def _falls_with_area(predictor: Predictor) -> list[str]:
    areas = np.geomspace(*PROBED_AREAS, AREA_STEPS).round(2 if PROBED_AREAS[0] < 1 else 1).tolist()
    optional = {field.name: field.example for field in INPUTS if not field.required and _has_vocabulary(field)}
    unit = INPUT[AREA].unit_symbol
    broken = []
    for location, count in itertools.product(_some_locations(predictor), PROBED_COUNTS if COUNTS else (0,)):
        for more in ({}, optional):
            smallest = _home(areas[0], location, **dict.fromkeys(COUNTS, count), **more)
            homes = [smallest.model_copy(update={AREA: area}) for area in areas]
            prices = [estimate.price for estimate in predictor.estimate(homes)]
            for (small, less), (large, price) in itertools.pairwise(zip(areas, prices, strict=True)):
                if price < less * (1 - FALL_TOLERANCE):
                    named = "".join(f", {count} {INPUT[name].noun}" for name in COUNTS[:1])
                    broken.append(
                        f"{location}{named}: {small} {unit} {less:.2f} {SHORT_PRICE_UNIT}, {large} {unit} {price:.2f}"
                    )
    return broken


def _spelling_matters(predictor: Predictor) -> list[str]:
    broken = []
    for location in _some_locations(predictor):
        spellings = [location, location.upper(), location.lower(), f"  {location.replace(' ', '   ')} "]
        homes = [_home(INPUT[AREA].example, spelling) for spelling in spellings]
        if len({(estimate.price, estimate.location) for estimate in predictor.estimate(homes)}) > 1:
            broken.append(location)
    return broken


def _unknown_refused(predictor: Predictor) -> list[str]:
    home = _home(INPUT[AREA].example, NO_SUCH_PLACE)
    estimate = predictor.estimate([home])[0]
    return [f"{home.place} is taken for {estimate.location}"] if estimate.location_known else []


def _insane_extremes(predictor: Predictor) -> list[str]:
    seen = predictor.bundle.reference().prediction
    smallest, largest = predictor.bundle.columns.ranges[AREA]
    broken = []
    locations = [*_some_locations(predictor)[:: PROBED_LOCATIONS // 5], NO_SUCH_PLACE]
    extremes = itertools.product(locations, limits_of(AREA), itertools.product(*map(limits_of, COUNTS)))
    for location, area, counts in extremes:
        home = _home(area, location, **dict(zip(COUNTS, counts, strict=True)))
        low, price, high = _triple(predictor.estimate([home])[0])
        lowest = seen.minimum / SANE_FACTOR * min(1.0, area / smallest)
        highest = seen.maximum * SANE_FACTOR * max(1.0, area / largest)
        if not (0 < low <= price <= high < math.inf and lowest <= price <= highest):
            counted = "".join(f", {n} {INPUT[name].noun}" for name, n in zip(COUNTS, counts, strict=True))
            described = f"{location}, {area:,.12g} {INPUT[AREA].unit_symbol}{counted}"
            broken.append(f"{described}: {low:.2f} {price:.2f} {high:.2f} {SHORT_PRICE_UNIT}")
    return broken


def _subsets_fail(predictor: Predictor) -> list[str]:
    optional: dict[str, Any] = {field.name: field.example for field in INPUTS if not field.required}
    location = _some_locations(predictor)[0]
    homes = [
        _home(INPUT[AREA].example, location, **{name: optional[name] for name in names})
        for size in range(len(optional) + 1)
        for names in itertools.combinations(optional, size)
    ]
    estimates = predictor.estimate(homes)  # raises BundleRefused for a price that is none
    return [str(home) for home, estimate in zip(homes, estimates, strict=True) if not math.isfinite(estimate.price)]


def _triple(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.low, estimate.price, estimate.high


def _some_locations(predictor: Predictor) -> list[str]:
    """Known locations at regular distances over the alphabet, and one unknown location."""
    names = predictor.locations
    step = max(1, len(names) // PROBED_LOCATIONS)
    return [*names[::step], NO_SUCH_PLACE]


def _has_vocabulary(field: InputField) -> bool:
    """Whether an input is a number or one of a few texts, and no name."""
    return not field.is_text or bool(field.choices or field.options)


_EXAMPLE = {field.name: field.example for field in INPUTS if field.required}


def _home(area: float | str, location: str, **others: Any) -> Home:
    return Home.parse({**_EXAMPLE, AREA: area, LOCATION: location, **others})
