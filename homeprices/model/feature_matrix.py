"""The feature matrix: model inputs, feature columns and target encoding, computed identically in NumPy and in ONNX.

Serving and training use the same functions for inputs and the same objects for features. Only trees and linear models
are left to skl2onnx: a logarithm or a ratio is one ONNX operator, and all lookups by one text are two.

Target encodings of texts are learned from prices. If the encoding of a row includes its own price,
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

from homeprices.model.feature_columns import Column, Lookup, Matrix
from homeprices.model.onnx_builder import OnnxBuilder
from homeprices.pricing.features import MISSING, OTHER_LOCATION, Locations, key_of
from homeprices.pricing.inputs import INPUT, LOCATION, NUMBERS, OPTIONAL, TEXTS


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
    spellings = rows[LOCATION].value_counts().sort_index()
    listings = spellings.groupby(spellings.index.map(key_of)).agg(["sum", "idxmax"])
    learned = listings[listings["sum"] >= min_listings]
    return Locations(name for name in learned["idxmax"] if key_of(name) != OTHER_LOCATION)


def _mapped(column: pd.Series, feature: Callable[[str], str]) -> pd.Series:
    return column.map({text: feature(text) for text in column.unique()}).astype(object)


Prices = npt.NDArray[np.float64]
FitTransformer = Callable[[pd.DataFrame, Prices], FeatureTransformer]

CROSS_FITTING_FOLDS = 5


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
