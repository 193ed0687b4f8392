"""What the estimators compute from the inputs of a home, and the features by which the error of an estimate varies."""

from __future__ import annotations

import pandas as pd

from homeprices.model.feature_columns import Column, Log, Lookup, Number, OneHot, Ratio, rounded_log
from homeprices.model.feature_matrix import FeatureEncoder, FeatureTransformer, Prices
from homeprices.pricing.features import AREA_TYPES, LATER, MISSING, READY
from homeprices.pricing.inputs import AREA, BATHS, BEDROOMS, LOCATION, SOCIETY

# Weight of the overall mean in an encoding, in listings. A high weight for locations, whose listings vary much; a low
# one for societies, whose homes cost nearly the same (standard deviation within a society 12 %, between societies 22
# %).
LOCATION_PRIOR_LISTINGS = 3.0
SOCIETY_PRIOR_LISTINGS = 1.0

SMALL_BEDROOMS = 2
"""Flats of up to two bedrooms and larger homes are two markets: a location can be expensive for one of them only."""

MIN_LISTINGS_ONE_HOT = 10
MIN_LISTINGS_LEVEL = 2


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


# A missing value is -1.
TELLING: tuple[Column, ...] = (
    Number("balcony", missing=-1.0),
    Lookup("area_type", "code", {name: float(i) for i, name in enumerate(AREA_TYPES)}, -1.0),
)
"""Columns that are negative for a home that is described by the form's fields only, or by little more."""


def interval_features(inputs: pd.DataFrame) -> FeatureTransformer:
    """Features by which the error varies. None is learned from a price, so that no row's error leaks into them."""
    counts = inputs[LOCATION].value_counts()
    societies = inputs[SOCIETY].value_counts()
    columns: list[Column] = [
        Number(AREA),
        Number(BEDROOMS),
        Number(BATHS),
        Ratio(AREA, BEDROOMS),
        Lookup(LOCATION, "listings", log_counts(counts), 0.0),
        *TELLING,
        Lookup(SOCIETY, "listings", log_counts(societies), 0.0),
    ]
    return FeatureTransformer(columns)


def log_counts(counts: pd.Series) -> dict[str, float]:
    """The logarithm of one more than each count, by its text; without the count of missing texts."""
    logs = rounded_log(counts + 1).tolist()
    return {str(text): log for text, log in zip(counts.index, logs, strict=True) if text != MISSING}


def _table(column: pd.Series) -> dict[str, float]:
    return {str(key): float(value) for key, value in column.items()}


ONE_HOT = FeatureEncoder(one_hot_features, MIN_LISTINGS_ONE_HOT, cross_fitted=False, optional=False)
TARGET_ENCODED = FeatureEncoder(target_encoded_features, MIN_LISTINGS_LEVEL, cross_fitted=True, optional=True)
TARGET_ENCODED_FILLED = FeatureEncoder(
    filled_target_encoded_features, MIN_LISTINGS_LEVEL, cross_fitted=True, optional=True
)
