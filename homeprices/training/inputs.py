"""Clean listings as the model's inputs, through the same functions that serving uses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from homeprices.pricing.features import (
    MISSING,
    NUMBERS,
    OTHER_LOCATION,
    TEXTS,
    Locations,
    area_type_feature,
    availability_feature,
    society_feature,
)
from homeprices.pricing.home import key_of

_TEXT_FEATURES: dict[str, Callable[[str], str]] = {
    "area_type": area_type_feature,
    "availability": availability_feature,
    "society": society_feature,
}


def model_inputs(rows: pd.DataFrame, locations: Locations) -> pd.DataFrame:
    """The inputs of clean rows: float32 numbers (missing: NaN), text (missing: ''), an unknown location as `other`."""
    frame = {name: rows[name].astype(np.float32) for name in NUMBERS}
    texts = {"location": locations.match, **_TEXT_FEATURES}
    frame |= {name: _mapped(rows[name], texts[name]) for name in TEXTS}
    return pd.DataFrame(frame, index=rows.index)


def form_only(inputs: pd.DataFrame) -> pd.DataFrame:
    """The same homes as somebody describes them who fills in the four fields of the form and nothing else."""
    return inputs.assign(balcony=np.float32(np.nan), area_type=MISSING, availability=MISSING, society=MISSING)


def learn_locations(rows: pd.DataFrame, min_listings: int) -> Locations:
    """The locations with at least `min_listings` rows, each under its most frequent spelling."""
    spellings = rows["location"].value_counts().sort_index()
    listings = spellings.groupby(spellings.index.map(key_of)).agg(["sum", "idxmax"])
    learned = listings[listings["sum"] >= min_listings]
    return Locations(name for name in learned["idxmax"] if key_of(name) != OTHER_LOCATION)


def _mapped(column: pd.Series, feature: Callable[[str], str]) -> pd.Series:
    return column.map({text: feature(text) for text in column.unique()}).astype(object)
