"""`reference.json`: binned features and predictions of the training rows, which drift compares traffic with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

REFERENCE_FILE = "reference.json"


class NumberReference(BaseModel):
    """A number's distribution. `counts[i]` rows lie in [edges[i], edges[i+1]), the last bin includes its upper edge.

    `percentiles` are the values at 1, 2, ..., 99 %; bundles from before it have none.
    """

    model_config = ConfigDict(frozen=True)

    type: Literal["number"] = "number"
    edges: list[float]
    counts: list[int]
    missing: int
    mean: float
    std: float
    minimum: float
    median: float
    maximum: float
    percentiles: list[float] | None = None


class TextReference(BaseModel):
    """A word's distribution: rows by value, the missing apart."""

    model_config = ConfigDict(frozen=True)

    type: Literal["text"] = "text"
    counts: dict[str, int]
    missing: int


FeatureReference = Annotated[NumberReference | TextReference, Field(discriminator="type")]


class Reference(BaseModel):
    """The training rows (not the hold-out): features as the model sees them, and its estimates in lakh rupees."""

    model_config = ConfigDict(frozen=True)

    rows: int
    features: dict[str, FeatureReference]
    prediction: NumberReference
