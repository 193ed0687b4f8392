"""What the estimators compute from the inputs of a diamond. Grades are in order, so their rank is a number."""

from __future__ import annotations

import pandas as pd

from homeprices.model.feature_columns import Column, Log, Lookup, Number
from homeprices.model.feature_matrix import FeatureEncoder, FeatureTransformer, Prices
from homeprices.pricing.inputs import CLARITIES, COLOURS, CUTS


def _grades() -> list[Column]:
    of_input = {"cut": CUTS, "color": COLOURS, "clarity": CLARITIES}
    return [
        Lookup(name, "grade", {grade: float(rank) for rank, grade in enumerate(grades)}, len(grades) / 2)
        for name, grades in of_input.items()
    ]


def log_features(inputs: pd.DataFrame, prices: Prices) -> FeatureTransformer:
    """The features of linear models."""
    del inputs, prices
    return FeatureTransformer([Log("carat", direction=1), *_grades()])


def grade_features(inputs: pd.DataFrame, prices: Prices) -> FeatureTransformer:
    """The features of trees; a missing number is -1."""
    del inputs, prices
    return FeatureTransformer([Number("carat", direction=1), *_grades(), *TELLING])


TELLING: tuple[Column, ...] = (Number("depth", missing=-1.0), Number("table", missing=-1.0))


def interval_features(inputs: pd.DataFrame) -> FeatureTransformer:
    """Features by which the error varies."""
    del inputs
    return FeatureTransformer([Number("carat"), *_grades(), *TELLING])


ONE_HOT = FeatureEncoder(log_features, 10, cross_fitted=False, optional=False)
TARGET_ENCODED = FeatureEncoder(grade_features, 2, cross_fitted=False, optional=True)
TARGET_ENCODED_FILLED = TARGET_ENCODED
