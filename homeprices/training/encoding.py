"""Learning the columns of a design matrix from training rows, so that no row sees its own price.

The price level of a location or a society is learned from prices. A model that is fitted on rows whose own price is in
their level trusts the level too much; so each training row gets levels that were learned from the other folds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import KFold

from homeprices.pricing.features import LATER, MISSING, READY
from homeprices.pricing.home import AREA_TYPES
from homeprices.training.design import Column, Design, Log, Lookup, Matrix, Number, OneHot, Ratio

Prices = npt.NDArray[np.float64]
FitDesign = Callable[[pd.DataFrame, Prices], Design]

CROSS_FITTING_FOLDS = 5

# How many listings the average of all counts for in a location's or society's level. A location's few listings vary
# much; homes of one society cost nearly the same (deviation within a society 12 %, between societies 22 %).
LOCATION_PRIOR_LISTINGS = 3.0
SOCIETY_PRIOR_LISTINGS = 1.0

SMALL_BEDROOMS = 2
"""Flats of up to two bedrooms and larger homes are two markets: a location that is dear for one may not be for both."""

MIN_LISTINGS_ONE_HOT = 10
MIN_LISTINGS_LEVEL = 2


@dataclass(frozen=True)
class Encoding:
    """How to learn a design. `min_listings` make a location known; `optional`: it reads more than the form's fields."""

    fit: FitDesign
    min_listings: int
    cross_fitted: bool
    optional: bool

    def fit_matrix(self, inputs: pd.DataFrame, prices: Prices, seed: int) -> tuple[Design, Matrix]:
        """The design learned from all rows, and their matrix, cross-fitted when levels are learned from prices."""
        design = self.fit(inputs, prices)
        if not self.cross_fitted:
            return design, design.matrix(inputs)
        matrix = np.empty((len(inputs), len(design.names())), dtype=np.float32)
        folds = KFold(CROSS_FITTING_FOLDS, shuffle=True, random_state=seed)
        for others, fold in folds.split(inputs):
            matrix[fold] = self.fit(inputs.iloc[others], prices[others]).matrix(inputs.iloc[fold])
        return design, matrix


def one_hot_design(inputs: pd.DataFrame, prices: Prices) -> Design:
    """For linear models: logarithms of the area and the rooms, and a column a location (none for `other`)."""
    del prices
    choices = tuple(sorted(name for name in inputs["location"].unique() if name != "other"))
    return Design([Log("total_sqft", direction=1), Log("bhk"), Log("bath"), OneHot("location", choices)])


def level_design(inputs: pd.DataFrame, prices: Prices, missing: float = float("nan")) -> Design:
    """For trees: numbers, ratios, what was learned of each location and society; a missing input is `missing`."""
    log_rate = np.log(prices / inputs["total_sqft"].to_numpy(float))
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
    return Design(columns)


def filled_level_design(inputs: pd.DataFrame, prices: Prices) -> Design:
    """`level_design` for estimators that take no missing values."""
    return level_design(inputs, prices, missing=-1.0)


def _location_columns(inputs: pd.DataFrame, deviation: Prices) -> list[Column]:
    """What a location is like: its price level, that of its small and of its large homes, how much is listed, how large
    homes are, how many are plots, and how prices spread.
    """
    frame = pd.DataFrame(
        {
            "location": inputs["location"].to_numpy(),
            "deviation": deviation,
            "log_area": np.log(inputs["total_sqft"].to_numpy(float)),
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
        Lookup("location", "listings", _table((counts + 1.0).map(math.log)), 0.0),
        Lookup("location", "share of plots", _table(plots), float(plots.mean())),
        Lookup("location", "spread of prices", _table(spread), float(spread.median()) if len(spread) else 0.0),
        Lookup("location", "price level of small homes", _table(_level_of(frame[small], level)), 0.0),
        Lookup("location", "price level of large homes", _table(_level_of(frame[~small], level)), 0.0),
        Lookup("location", "usual area", _table(areas), float(areas.mean())),
    ]


def _level_of(homes: pd.DataFrame, level: pd.Series) -> pd.Series:
    """The price level of some homes of each location, drawn to the location's own where they are few."""
    group = homes.groupby("location")["deviation"]
    own = (group.sum() + LOCATION_PRIOR_LISTINGS * level) / (group.size() + LOCATION_PRIOR_LISTINGS)
    return own.reindex(level.index).fillna(level)


def _society_column(inputs: pd.DataFrame, deviation: Prices, missing: float) -> Column:
    """How a society's prices lie above its location's."""
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


ONE_HOT = Encoding(one_hot_design, MIN_LISTINGS_ONE_HOT, cross_fitted=False, optional=False)
LEVELS = Encoding(level_design, MIN_LISTINGS_LEVEL, cross_fitted=True, optional=True)
FILLED_LEVELS = Encoding(filled_level_design, MIN_LISTINGS_LEVEL, cross_fitted=True, optional=True)
