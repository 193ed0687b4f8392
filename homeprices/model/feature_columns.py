"""Column types of the feature matrix: each computes its block in NumPy and writes the same block as ONNX operators."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from homeprices.model.onnx_builder import OnnxBuilder

Matrix = npt.NDArray[np.float32]

NAN = float("nan")

LOG_DIGITS = 9


def rounded_log(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return natural logarithms, float64, rounded to LOG_DIGITS decimals.

    NumPy's logarithm differs in the last bit between processors with and without AVX-512. A tree that is fitted on such
    numbers may split elsewhere, so training takes logarithms of prices and areas from here.
    """
    logs: npt.NDArray[np.float64] = np.log(np.asarray(values, dtype=np.float64))
    return logs.round(LOG_DIGITS)


class Column(Protocol):
    """One or more columns of the matrix."""

    @property
    def direction(self) -> int:
        """1: a larger value never lowers the price; 0: free."""

    def values(self, inputs: pd.DataFrame) -> Matrix:
        """The columns for these inputs, [N, width]."""

    def node(self, graph: OnnxBuilder) -> str:
        """Add the operators that compute `values` and return the name of their output, [N, width] float32."""

    def names(self) -> list[str]:
        """A readable name for each column."""

    def inputs(self) -> set[str]:
        """The model inputs that this reads."""


class ComparesNan:
    """Equality and hash of a frozen dataclass in which NaN equals NaN.

    Dataclasses compare NaN by identity up to Python 3.12 and by value (never equal) since 3.13. Without this class,
    `join` would build another model of the same rows there.
    """

    def __eq__(self, other: object) -> bool:
        return other.__class__ is self.__class__ and _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(_values(self))


def _values(column: Any) -> tuple[Any, ...]:
    """The fields of a column, every NaN replaced by the same object, which tuples compare by identity."""
    values = (getattr(column, field.name) for field in fields(column))
    return tuple(NAN if value != value else value for value in values)


@dataclass(frozen=True, eq=False)
class Number(ComparesNan):
    """An input as it is; a missing value becomes `missing` (NaN stays one)."""

    name: str
    direction: int = 0
    missing: float = NAN

    def values(self, inputs: pd.DataFrame) -> Matrix:
        column = inputs[self.name].to_numpy(np.float32)
        return np.where(np.isnan(column), np.float32(self.missing), column).reshape(-1, 1)

    def node(self, graph: OnnxBuilder) -> str:
        source = graph.number(self.name)
        if np.isnan(self.missing):
            return source
        return graph.add("Where", [graph.add("IsNaN", [source]), graph.constant(self.missing), source])

    def names(self) -> list[str]:
        return [self.name]

    def inputs(self) -> set[str]:
        return {self.name}


@dataclass(frozen=True)
class Log:
    """The natural logarithm of an input that is always positive."""

    name: str
    direction: int = 0

    def values(self, inputs: pd.DataFrame) -> Matrix:
        logarithm: Matrix = np.log(inputs[self.name].to_numpy(np.float32))
        return logarithm.reshape(-1, 1)

    def node(self, graph: OnnxBuilder) -> str:
        return graph.add("Log", [graph.number(self.name)])

    def names(self) -> list[str]:
        return [f"log {self.name}"]

    def inputs(self) -> set[str]:
        return {self.name}


@dataclass(frozen=True)
class Ratio:
    """One input divided by another, both always positive.

    IEEE division gives the same bits in NumPy and ONNX Runtime.
    """

    above: str
    below: str
    direction: int = 0

    def values(self, inputs: pd.DataFrame) -> Matrix:
        ratio: Matrix = inputs[self.above].to_numpy(np.float32) / inputs[self.below].to_numpy(np.float32)
        return ratio.reshape(-1, 1)

    def node(self, graph: OnnxBuilder) -> str:
        return graph.add("Div", [graph.number(self.above), graph.number(self.below)])

    def names(self) -> list[str]:
        return [f"{self.above} / {self.below}"]

    def inputs(self) -> set[str]:
        return {self.above, self.below}


@dataclass(frozen=True, eq=False)
class Lookup(ComparesNan):
    """A learned number for each known value of a text input, `default` for any other."""

    name: str
    what: str
    table: dict[str, float]
    default: float
    direction: int = 0

    def values(self, inputs: pd.DataFrame) -> Matrix:
        column = inputs[self.name]
        found = {text: self.table.get(text, self.default) for text in column.unique()}
        return column.map(found).to_numpy(np.float32).reshape(-1, 1)

    def node(self, graph: OnnxBuilder) -> str:
        return graph.lookup(self.name, [self.table], [self.default])

    def names(self) -> list[str]:
        return [f"{self.name}: {self.what}"]

    def inputs(self) -> set[str]:
        return {self.name}


@dataclass(frozen=True)
class OneHot:
    """One column per value of a text input: 1 where the input has that value, all 0 for other values."""

    name: str
    choices: tuple[str, ...]
    direction: int = 0

    def values(self, inputs: pd.DataFrame) -> Matrix:
        place = {choice: i for i, choice in enumerate(self.choices)}
        where = inputs[self.name].map(place)
        matrix = np.zeros((len(inputs), len(self.choices)), dtype=np.float32)
        known = where.notna().to_numpy()
        matrix[np.flatnonzero(known), where[known].astype(int).to_numpy()] = 1
        return matrix

    def node(self, graph: OnnxBuilder) -> str:
        source = graph.text(self.name)
        hot = graph.add("OneHotEncoder", [source], domain="ai.onnx.ml", cats_strings=list(self.choices), zeros=1)
        return graph.add("Reshape", [hot, graph.shape(-1, len(self.choices))])

    def names(self) -> list[str]:
        return [f"{self.name} = {choice}" for choice in self.choices]

    def inputs(self) -> set[str]:
        return {self.name}
