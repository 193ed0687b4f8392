"""The feature matrix: model inputs, feature columns and target encoding, computed identically in NumPy and in ONNX.

Serving and training use the same functions for inputs and the same objects for features. Only trees and linear models
are left to skl2onnx: a logarithm or a ratio is one ONNX operator, and all lookups by one text are two.

Target encodings of locations and societies are learned from prices. If the encoding of a row includes its own price,
the model relies on the encoding too much. So each training row gets encodings that were learned from the other folds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import KFold

from homeprices.model.feature_columns import Column, Log, Lookup, Matrix, Number, OneHot, Ratio, rounded_log
from homeprices.model.onnx_builder import OnnxBuilder
from homeprices.pricing.features import (
    AREA_TYPES,
    LATER,
    MISSING,
    OTHER_LOCATION,
    READY,
    Locations,
    key_of,
)
from homeprices.pricing.inputs import INPUT, NUMBERS, OPTIONAL, TEXTS


@dataclass(frozen=True)
class FeatureTransformer:
    """The columns of a matrix, in order."""

    columns: Sequence[Column]

    def transform(self, inputs: pd.DataFrame) -> Matrix:
        """[N, width] float32."""
        return np.hstack([column.values(inputs) for column in self.columns])

    def to_onnx(self, graph: OnnxBuilder) -> str:
        """Add the operators that compute the matrix and return the name of their output."""
        nodes = []
        for text, adjacent in groupby(self.columns, _text_of):
            if text is None:
                nodes += [column.node(graph) for column in adjacent]
            else:
                lookups = [column for column in adjacent if isinstance(column, Lookup)]
                nodes.append(graph.lookup(text, [one.table for one in lookups], [one.default for one in lookups]))
        return graph.add("Concat", nodes, axis=1)

    def categories(self) -> dict[str, set[str]]:
        """The known values of each text input."""
        known: dict[str, set[str]] = {}
        for column in self.columns:
            if isinstance(column, Lookup):
                known.setdefault(column.name, set()).update(column.table)
        return known

    def feature_names(self) -> list[str]:
        """A readable name for each column of the matrix."""
        return [name for column in self.columns for name in column.names()]

    def monotonic_constraints(self) -> list[int]:
        """The monotonic constraint of each column of the matrix."""
        return [column.direction for column in self.columns for _ in column.names()]

    def input_names(self) -> set[str]:
        """The model inputs that the matrix reads."""
        return set().union(*(column.inputs() for column in self.columns))


def join(*designs: FeatureTransformer) -> tuple[FeatureTransformer, list[list[int]]]:
    """Return a joint transformer with each distinct column once, and the positions of each transformer's columns in it.

    Columns have a width of 1. Lookups by the same text are adjacent, so that the graph needs one lookup for them.
    """
    columns: list[Column] = []
    for column in (column for design in designs for column in design.columns):
        if column not in columns:
            columns.append(column)
    columns.sort(key=lambda column: _text_of(column) or "")
    return FeatureTransformer(columns), [[columns.index(column) for column in design.columns] for design in designs]


def _text_of(column: Column) -> str | None:
    """The text input of a lookup column; adjacent columns with the same one share a lookup in the graph."""
    return column.name if isinstance(column, Lookup) else None


def model_inputs(rows: pd.DataFrame, locations: Locations) -> pd.DataFrame:
    """The inputs of clean rows: float32 numbers (missing: NaN), text (missing: ''), an unknown location as `other`."""
    frame = {name: rows[name].astype(np.float32) for name in NUMBERS}
    frame |= {name: _mapped(rows[name], INPUT[name].feature or locations.match) for name in TEXTS}
    return pd.DataFrame(frame, index=rows.index)


def form_only(inputs: pd.DataFrame) -> pd.DataFrame:
    """The same inputs with every optional one missing, as from a visitor who fills in only the form's fields."""
    return inputs.assign(**{name: np.float32(np.nan) if name in NUMBERS else MISSING for name in OPTIONAL})


def blank_inputs() -> pd.DataFrame:
    """The inputs of one home whose optional inputs are all missing."""
    frame: dict[str, Any] = {name: np.ones(1, dtype=np.float32) for name in NUMBERS}
    return form_only(pd.DataFrame(frame | {name: [MISSING] for name in TEXTS}))


def learn_locations(rows: pd.DataFrame, min_listings: int) -> Locations:
    """The locations with at least `min_listings` rows, each under its most frequent spelling."""
    spellings = rows["location"].value_counts().sort_index()
    listings = spellings.groupby(spellings.index.map(key_of)).agg(["sum", "idxmax"])
    learned = listings[listings["sum"] >= min_listings]
    return Locations(name for name in learned["idxmax"] if key_of(name) != OTHER_LOCATION)


def _mapped(column: pd.Series, feature: Callable[[str], str]) -> pd.Series:
    return column.map({text: feature(text) for text in column.unique()}).astype(object)


Prices = npt.NDArray[np.float64]
FitTransformer = Callable[[pd.DataFrame, Prices], FeatureTransformer]

CROSS_FITTING_FOLDS = 5

# Weight of the overall mean in an encoding, in listings. A high weight for locations, whose listings vary much; a low
# one for societies, whose homes cost nearly the same (standard deviation within a society 12 %, between societies 22
# %).
LOCATION_PRIOR_LISTINGS = 3.0
SOCIETY_PRIOR_LISTINGS = 1.0

SMALL_BEDROOMS = 2
"""Flats of up to two bedrooms and larger homes are two markets: a location can be expensive for one of them only."""

MIN_LISTINGS_ONE_HOT = 10
MIN_LISTINGS_LEVEL = 2


@dataclass(frozen=True)
class FeatureEncoder:
    """Fits a transformer. Locations with `min_listings` listings are known; `optional`: it reads optional inputs."""

    fit: FitTransformer
    min_listings: int
    cross_fitted: bool
    optional: bool

    def fit_transform(self, inputs: pd.DataFrame, prices: Prices, seed: int) -> tuple[FeatureTransformer, Matrix]:
        """Return the transformer fitted on all rows, and their matrix, cross-fitted if it has target encodings."""
        design = self.fit(inputs, prices)
        if not self.cross_fitted:
            return design, design.transform(inputs)
        matrix = np.empty((len(inputs), len(design.feature_names())), dtype=np.float32)
        folds = KFold(CROSS_FITTING_FOLDS, shuffle=True, random_state=seed)
        for others, fold in folds.split(inputs):
            matrix[fold] = self.fit(inputs.iloc[others], prices[others]).transform(inputs.iloc[fold])
        return design, matrix


def one_hot_features(inputs: pd.DataFrame, prices: Prices) -> FeatureTransformer:
    """The features of linear models: logarithms of area and rooms, and one column per location (none for `other`)."""
    del prices
    choices = tuple(sorted(name for name in inputs["location"].unique() if name != "other"))
    return FeatureTransformer([Log("total_sqft", direction=1), Log("bhk"), Log("bath"), OneHot("location", choices)])


def target_encoded_features(inputs: pd.DataFrame, prices: Prices, missing: float = float("nan")) -> FeatureTransformer:
    """The features of trees: numbers, ratios, and target encodings of location and society.

    A missing input becomes `missing`.
    """
    log_rate = rounded_log(prices) - rounded_log(inputs["total_sqft"])
    deviation = log_rate - log_rate.mean()
    columns: list[Column] = [
        Number("total_sqft", direction=1),
        Number("bhk"),
        Number("bath"),
        Ratio("total_sqft", "bhk", direction=1),
        Ratio("bath", "bhk"),
        *_location_columns(inputs, deviation),
        Number("balcony", missing=missing),
        Lookup("area_type", "code", {name: float(i) for i, name in enumerate(AREA_TYPES)}, missing),
        Lookup("availability", "ready", {READY: 1.0, LATER: 0.0}, missing),
        _society_column(inputs, deviation, missing),
    ]
    return FeatureTransformer(columns)


def filled_target_encoded_features(inputs: pd.DataFrame, prices: Prices) -> FeatureTransformer:
    """`target_encoded_features` for estimators that accept no missing values."""
    return target_encoded_features(inputs, prices, missing=-1.0)


def _location_columns(inputs: pd.DataFrame, deviation: Prices) -> list[Column]:
    """Features of a location: price level overall, of small and of large homes; listings, usual area, plots, spread."""
    frame = pd.DataFrame(
        {
            "location": inputs["location"].to_numpy(),
            "deviation": deviation,
            "log_area": rounded_log(inputs["total_sqft"]),
            "plot": (inputs["area_type"] == "Plot Area").to_numpy(float),
        }
    )
    group = frame.groupby("location")
    counts = group.size()
    level = group["deviation"].sum() / (counts + LOCATION_PRIOR_LISTINGS)
    spread = group["deviation"].std().dropna()
    plots, areas = group["plot"].mean(), group["log_area"].mean()
    small = (inputs["bhk"] <= SMALL_BEDROOMS).to_numpy()
    return [
        Lookup("location", "price level", _table(level), 0.0, direction=1),
        Lookup("location", "listings", _table(pd.Series(rounded_log(counts + 1), counts.index)), 0.0),
        Lookup("location", "share of plots", _table(plots), float(plots.mean())),
        Lookup("location", "spread of prices", _table(spread), float(spread.median()) if len(spread) else 0.0),
        Lookup("location", "price level of small homes", _table(_shrunken_mean(frame[small], level)), 0.0),
        Lookup("location", "price level of large homes", _table(_shrunken_mean(frame[~small], level)), 0.0),
        Lookup("location", "usual area", _table(areas), float(areas.mean())),
    ]


def _shrunken_mean(homes: pd.DataFrame, level: pd.Series) -> pd.Series:
    """The mean deviation of these homes per location, shrunken towards `level`, the location's own."""
    group = homes.groupby("location")["deviation"]
    own = (group.sum() + LOCATION_PRIOR_LISTINGS * level) / (group.size() + LOCATION_PRIOR_LISTINGS)
    return own.reindex(level.index).fillna(level)


def _society_column(inputs: pd.DataFrame, deviation: Prices, missing: float) -> Column:
    """Target encoding of the society: the price level above its location's."""
    location = inputs["location"].to_numpy()
    frame = pd.DataFrame({"society": inputs["society"].to_numpy(), "deviation": deviation, "location": location})
    sums = frame.groupby("location")["deviation"].agg(["sum", "size"])
    level = sums["sum"] / (sums["size"] + LOCATION_PRIOR_LISTINGS)
    frame["above"] = frame["deviation"] - frame["location"].map(level)
    group = frame[frame["society"] != MISSING].groupby("society")["above"]
    above = group.sum() / (group.size() + SOCIETY_PRIOR_LISTINGS)
    return Lookup("society", "price level", _table(above), missing, direction=1)


def _table(column: pd.Series) -> dict[str, float]:
    return {str(key): float(value) for key, value in column.items()}


ONE_HOT = FeatureEncoder(one_hot_features, MIN_LISTINGS_ONE_HOT, cross_fitted=False, optional=False)
TARGET_ENCODED = FeatureEncoder(target_encoded_features, MIN_LISTINGS_LEVEL, cross_fitted=True, optional=True)
TARGET_ENCODED_FILLED = FeatureEncoder(
    filled_target_encoded_features, MIN_LISTINGS_LEVEL, cross_fitted=True, optional=True
)
