"""Isotonic curves: a teacher's price as a non-decreasing function of area, per location and counts (rooms).

Each curve is the isotonic regression of the teacher's predictions. This costs a third of a point of median error,
while a tree ensemble that is constrained in each of its trees loses a whole point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import isotonic_regression

from homeprices.model.feature_columns import Matrix, rounded_log
from homeprices.model.onnx_builder import OnnxBuilder
from homeprices.pricing.features import OTHER_LOCATION
from homeprices.pricing.inputs import AREA, COUNTS, LOCATION, REQUIRED

MAX_ROOMS = 9
"""Homes with this much of a count (bedrooms), or more, have no curve: they are too few and too different."""

# A curve follows the teacher most closely near the median area of its homes: the standard deviation of these weights,
# in log area, and the weight far away.
NEAR_LOG_AREA = 0.07
FAR_WEIGHT = 1e-3

# Most knots are evenly spaced between these quantiles of the area, because few listings are outside.
BODY = (0.005, 0.995)
TAILS = (0.0, 0.001, 0.998, 0.9995)

KINDS_PER_BATCH = 100
"""Kinds of homes predicted at once. Each is predicted at every knot; all together would take hundreds of megabytes."""

_KIND = [LOCATION, *COUNTS]

FIT_FOR_CURVES = {AREA, *_KIND} == {*REQUIRED} and bool(COUNTS)
"""A curve holds for a home whose other required inputs are its kind."""

# Model inputs -> log price
PredictLogPrice = Callable[[pd.DataFrame], npt.NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class IsotonicCurves:
    """Curves of log price over `knots` of log area: `curves` is [rows, knots].

    `rows` is [locations + 1, rooms + 1, ...], a dimension for each count: the row of a kind of home or -1.
    """

    locations: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    knots: Matrix
    curves: Matrix

    def values(self, inputs: pd.DataFrame) -> Matrix:
        """The log price of each home, [N]; NaN for a kind of home without a curve. Constant beyond the knots."""
        area = rounded_log(inputs[AREA]).astype(np.float32)
        segment = (area[:, None] >= self.knots[None, :]).sum(axis=1)
        start, slope, knot = self._segments()[self._row(inputs), segment].T
        value: Matrix = start + slope * (area - knot)
        return value

    def node(self, graph: OnnxBuilder) -> str:
        """Add the operators that compute `values` and return the name of their output, [N, 1]."""
        area = graph.add("Log", [graph.number(AREA)])
        reached = graph.add("GreaterOrEqual", [area, graph.array(self.knots[None, :])])
        segment = graph.add("ReduceSum", [graph.add("Cast", [reached], to=_INT64), graph.shape(1)], keepdims=1)
        place = graph.add("Concat", [self._row_node(graph), segment], axis=1)
        start, slope, knot = graph.split(graph.add("GatherND", [graph.array(self._segments()), place]), 3)
        return graph.add("Add", [start, graph.add("Mul", [slope, graph.add("Sub", [area, knot])])])

    def _segments(self) -> Matrix:
        """The linear pieces of every curve, [curves + 1, knots + 1, 3]: value at the knot, slope, and the knot.

        The first segment lies below all knots and the last above them. The last curve is NaN.
        """
        slopes = np.diff(self.curves, axis=1) / np.diff(self.knots)[None, :]
        segments = np.zeros((len(self.curves) + 1, len(self.knots) + 1, 3), dtype=np.float32)
        segments[:-1, 0, 0], segments[:-1, 1:, 0] = self.curves[:, 0], self.curves
        segments[:-1, 1:-1, 1] = slopes
        segments[:, 1:, 2] = self.knots
        segments[-1] = np.nan
        return segments

    def _row(self, inputs: pd.DataFrame) -> npt.NDArray[np.int64]:
        """The curve of each home's kind, [N]; one past the last where it has none."""
        place = {name: i for i, name in enumerate(self.locations)}
        location = inputs[LOCATION].map(place).fillna(len(self.locations)).to_numpy(np.int64)
        rooms = [np.minimum(inputs[name].to_numpy(np.float32), MAX_ROOMS).astype(np.int64) for name in COUNTS]
        row = self.rows[(location, *rooms)]
        return np.where(row < 0, len(self.curves), row)

    def _row_node(self, graph: OnnxBuilder) -> str:
        """The row of each home's kind, [N, 1] int64; one past the last where it has none."""
        asked = graph.categories(LOCATION)
        place = {name: i for i, name in enumerate(self.locations)}
        rows = self.rows[[place.get(name, len(self.locations)) for name in (*asked, "")]]
        rows = np.where(rows < 0, len(self.curves), rows)
        rooms = graph.add("Concat", [graph.number(name) for name in COUNTS], axis=1)
        rooms = graph.add("Cast", [graph.add("Min", [rooms, graph.constant(MAX_ROOMS)])], to=_INT64)
        kind = graph.add("Concat", [graph.category_index(LOCATION), rooms], axis=1)
        return graph.add("GatherND", [graph.array(rows[..., None]), kind])


def fit_curves(teacher: PredictLogPrice, inputs: pd.DataFrame, knots: int) -> IsotonicCurves:
    """Return the curves of a teacher on form inputs, for every kind of home here with fewer than MAX_ROOMS rooms."""
    homes = inputs[(inputs[list(COUNTS)] < MAX_ROOMS).all(axis=1)]
    kinds = homes.groupby(_KIND, sort=True)[AREA].median().reset_index()
    locations = tuple(sorted({str(name) for name in kinds[LOCATION]} | {OTHER_LOCATION}))
    place = {name: i for i, name in enumerate(locations)}
    rows = np.full((len(locations) + 1, *(MAX_ROOMS + 1 for _ in COUNTS)), -1, dtype=np.int64)
    counts = (kinds[name].to_numpy(np.int64) for name in COUNTS)
    rows[(kinds[LOCATION].map(place).to_numpy(np.int64), *counts)] = np.arange(len(kinds))
    areas = _knots(inputs[AREA].to_numpy(np.float64), knots)
    predictions = _teacher_predictions(teacher, inputs, kinds, areas)
    log_areas = rounded_log(areas).astype(np.float32)
    distance = (log_areas[None, :] - rounded_log(kinds[AREA])[:, None]) / NEAR_LOG_AREA
    weights = np.exp(-0.5 * distance**2) + FAR_WEIGHT
    curves = [isotonic_regression(y, weights=w).x for y, w in zip(predictions, weights, strict=True)]
    return IsotonicCurves(
        locations, rows, log_areas, np.array(curves, dtype=np.float32).reshape(len(kinds), len(areas))
    )


def _teacher_predictions(
    teacher: PredictLogPrice, inputs: pd.DataFrame, kinds: pd.DataFrame, areas: Matrix
) -> npt.NDArray[np.float64]:
    """The teacher's log price of each kind of home at each area, [kinds, areas]."""
    blank = inputs.iloc[:1].drop(columns=[*_KIND, AREA])
    constant = {str(name): values.iloc[0] for name, values in blank.items()}
    predictions = np.empty((len(kinds), len(areas)))
    for first in range(0, len(kinds), KINDS_PER_BATCH):
        some = kinds.iloc[first : first + KINDS_PER_BATCH]
        homes: dict[str, Any] = {name: np.repeat(some[name].to_numpy(), len(areas)) for name in _KIND}
        homes[AREA] = np.tile(areas, len(some))
        predictions[first : first + KINDS_PER_BATCH] = np.reshape(
            teacher(pd.DataFrame(homes).assign(**constant)), (len(some), len(areas))
        )
    return predictions


def _knots(areas: npt.NDArray[np.float64], count: int) -> Matrix:
    """At most `count` different areas, and at least two."""
    quantiles = np.sort(np.concatenate([TAILS, np.linspace(*BODY, count - len(TAILS))]))
    knots = np.unique(np.quantile(areas, quantiles).astype(np.float32))
    # As float32, two areas may have one logarithm.
    knots = knots[np.unique(rounded_log(knots).astype(np.float32), return_index=True)[1]]
    return knots if len(knots) > 1 else np.array([knots[0], knots[0] * 2], dtype=np.float32)


_INT64 = 7
"""onnx.TensorProto.INT64"""
