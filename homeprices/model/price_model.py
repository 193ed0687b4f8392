"""The fitted model, its ONNX graph, and `model.skops`, the file of it for data scientists.

skops loads only the types in TRUSTED and unpickles nothing. It is imported where
it is used, because its import scans every loaded module for ufuncs, which takes twenty seconds inside an Airflow task.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from homeprices.errors import BundleRefused
from homeprices.model.calibration import ConformalInterval
from homeprices.model.distillation import form_columns
from homeprices.model.feature_columns import Matrix
from homeprices.model.feature_matrix import FeatureTransformer, Prices, blank_inputs, join, model_inputs
from homeprices.model.isotonic_curves import IsotonicCurves
from homeprices.model.onnx_builder import OnnxBuilder, add_tree, constant_ensemble, converted, ensemble_of
from homeprices.pricing.features import Locations
from homeprices.pricing.inputs import LOCATION, NUMBERS, REQUIRED, TEXTS
from homeprices.pricing.predictor import HIGH_OUTPUT, LOW_OUTPUT, OUTPUT


@dataclass(frozen=True, eq=False)
class Estimates:
    """Prices with the bounds of their intervals, lakh rupees, [N] each."""

    price: Prices
    low: Prices
    high: Prices

    def cover(self, prices: Prices) -> npt.NDArray[np.bool_]:
        """Whether each of these prices lies within its interval."""
        return (prices >= self.low) & (prices <= self.high)

    @property
    def log_width(self) -> float:
        """The median of ln(high / low)."""
        return float(np.median(np.log(self.high / self.low)))


@dataclass(frozen=True)
class PriceModel:
    """A fitted model. Prices are in lakh rupees.

    `regressor` predicts the log price from the features. In a distilled model, `curves` replace it for homes that have
    a curve and are described by the form's fields only. `bias_correction` is added to either. `interval` is None until
    the model is calibrated. Methods take the inputs of `encode`.
    """

    estimator: str
    location_names: tuple[str, ...]
    features: FeatureTransformer
    regressor: Any
    curves: IsotonicCurves | None = None
    interval: ConformalInterval | None = None
    bias_correction: float = 0.0

    @property
    def locations(self) -> Locations:
        return Locations(self.location_names)

    def encode(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The model inputs of clean rows, which the other methods take. `form_only` blanks the optional ones."""
        return model_inputs(rows, self.locations)

    def predict(self, inputs: pd.DataFrame) -> Prices:
        """The price of each home, [N]."""
        return np.exp(self.log_prices(inputs))

    def estimate(self, inputs: pd.DataFrame) -> Estimates:
        """The price of each home with its interval. Raises ValueError for a model without intervals."""
        if self.interval is None:
            raise ValueError(f"{self.estimator} was fitted without intervals")
        log_prices = self.log_prices(inputs)
        low, high = self.interval.bounds(inputs, log_prices)
        return Estimates(np.exp(log_prices), np.exp(log_prices + low), np.exp(log_prices + high))

    def log_prices(self, inputs: pd.DataFrame) -> Prices:
        """The logarithm of the price of each home, [N]. Raises ValueError when one is not finite."""
        matrix = self.features.transform(inputs)
        # OpenBLAS may set the flag of an invalid operation although every number is finite (numpy/numpy#24067). NumPy's
        # warning tells nothing then, so the numbers are checked themselves.
        with threadpool_limits(limits=1), np.errstate(invalid="ignore"):
            log_prices = np.asarray(self.regressor.predict(matrix), dtype=np.float64).ravel()
        if not np.isfinite(log_prices).all():
            wrong = np.count_nonzero(~np.isfinite(log_prices))
            raise ValueError(f"{self.estimator} gives {wrong} of {len(log_prices)} homes a price that is not finite")
        log_prices += self.bias_correction
        if self.curves is None:
            return log_prices
        curve = self.curves.values(inputs)
        columns, missing = self._optional_cells()
        without_curve = (matrix[:, columns] != missing).any(axis=1) | np.isnan(curve)
        return np.where(without_curve, log_prices, curve + self.bias_correction)

    def to_onnx(self) -> onnx.ModelProto:
        """The model as one ONNX graph from named inputs to `estimate` and, if it is calibrated, `low` and `high`."""
        builder = OnnxBuilder(self._vocabularies())
        for name in REQUIRED:  # the form's fields are inputs of every model, even if it does not use them
            builder.number(name) if name in NUMBERS else builder.text(name)
        trees = isinstance(self.regressor, HistGradientBoostingRegressor)
        # All trees read one joint matrix; a linear model needs exactly its own columns.
        designs = [*([self.features] if trees else []), *([self.interval.design] if self.interval else [])]
        joint, places = join(*designs)
        matrix, width = joint.to_onnx(builder) if designs else "", len(joint.columns)
        if trees:
            log_price = builder.trees(ensemble_of(self.regressor, places[0], self.bias_correction), matrix)
        else:
            model = converted(self.regressor, len(self.features.feature_names()))
            log_price = builder.embed(model, self.features.to_onnx(builder))
            log_price = builder.add("Reshape", [log_price, builder.shape(-1, 1)])
            log_price = builder.add("Add", [log_price, builder.constant(self.bias_correction)])
        if self.curves:
            log_price = self._curves_node(builder, self.curves, matrix, places[0], log_price)
        outputs = {OUTPUT: builder.add("Exp", [log_price])}
        if self.interval:
            low, high = self.interval.node(builder, matrix, width, places[-1], log_price)
            outputs[LOW_OUTPUT] = builder.add("Exp", [builder.add("Add", [log_price, low])])
            outputs[HIGH_OUTPUT] = builder.add("Exp", [builder.add("Add", [log_price, high])])
        return builder.build(outputs)

    def inputs(self) -> list[tuple[str, str]]:
        """The named inputs of the graph with their types, `number` or `text`."""
        read = (
            self.features.input_names()
            | set(REQUIRED)
            | (self.interval.design.input_names() if self.interval else set())
        )
        return [(name, "number" if name in NUMBERS else "text") for name in (*NUMBERS, *TEXTS) if name in read]

    def _vocabularies(self) -> dict[str, list[str]]:
        """The known values of each text input, over all parts of the model, sorted."""
        known: dict[str, set[str]] = {name: set() for name in TEXTS}
        for design in (self.features, *([self.interval.design] if self.interval else [])):
            for name, values in design.categories().items():
                known[name] |= values
        known[LOCATION].update(self.curves.locations if self.curves else ())
        return {name: sorted(values) for name, values in known.items()}

    def _curves_node(
        self, graph: OnnxBuilder, isotonic: IsotonicCurves, matrix: str, places: list[int], log_price: str
    ) -> str:
        columns, missing = self._optional_cells()
        cells = [(places[column], cell) for column, cell in zip(columns.tolist(), missing.tolist(), strict=True)]
        # 0 where every optional input is missing, else NaN, as the curve is for a kind of home without one.
        without_optional = graph.trees(add_tree(constant_ensemble(0.0), cells, 0.0, np.nan, equal=True), matrix)
        shifted = replace(isotonic, curves=isotonic.curves + np.float32(self.bias_correction))
        curve = graph.add("Add", [shifted.node(graph), without_optional])
        return graph.add("Where", [graph.add("IsNaN", [curve]), log_price, curve])

    def _optional_cells(self) -> tuple[npt.NDArray[np.int64], Matrix]:
        """The columns that read optional inputs, and their values when these are missing."""
        columns = np.flatnonzero(~form_columns(self.features))
        return columns, self.features.transform(blank_inputs())[0, columns]


# The types of this project that make up a model, and those parts of scikit-learn's estimators that skops does not trust
# by default: arrays of tree nodes, and a dictionary.
TRUSTED = {
    "homeprices.model.price_model.PriceModel",
    "homeprices.model.isotonic_curves.IsotonicCurves",
    "homeprices.model.calibration.ConformalInterval",
    "homeprices.model.feature_matrix.FeatureTransformer",
    *(f"homeprices.model.feature_columns.{name}" for name in ("Log", "Lookup", "Number", "OneHot", "Ratio")),
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
}


def save(model: PriceModel, path: Path) -> None:
    """Write the model to `path`."""
    import skops.io

    skops.io.dump(model, path)


def load(path: Path) -> PriceModel:
    """Return the model in `path`. Raises BundleRefused when the file holds any type that is not in TRUSTED."""
    import skops.io

    unknown = set(skops.io.get_untrusted_types(file=path)) - TRUSTED
    if unknown:
        raise BundleRefused(f"{path.name} holds types that are not trusted: {', '.join(sorted(unknown))}")
    model = skops.io.load(path, trusted=sorted(TRUSTED))
    if not isinstance(model, PriceModel):
        raise BundleRefused(f"{path.name} holds no model of prices")
    return model
