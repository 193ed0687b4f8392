"""The content of `reference.json`: the distributions of the training inputs and estimates, the baseline of drift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from homeprices.model.feature_matrix import Prices
from homeprices.pricing.features import MISSING
from homeprices.pricing.inputs import NUMBERS
from homeprices.pricing.manifest import NumberReference, Reference, TextReference

BINS = 10
PERCENTS = np.arange(1, 100)


def reference_distributions(inputs: pd.DataFrame, estimates: Prices, names: Sequence[str]) -> Reference:
    """The distributions of these model inputs and of the estimates (lakh rupees) for them."""
    return Reference(
        rows=len(inputs),
        features={
            name: number_reference(inputs[name].to_numpy(float)) if name in NUMBERS else _text_reference(inputs[name])
            for name in names
        },
        prediction=number_reference(estimates),
    )


def number_reference(values: Prices) -> NumberReference:
    """Ten bins of about equal count, fewer where values repeat. Raises ValueError when all values are missing."""
    present = values[~np.isnan(values)]
    if not len(present):
        raise ValueError("no value is present")
    edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)))
    if len(edges) == 1:
        edges = np.array([edges[0], np.nextafter(edges[0], np.inf)])
    counts, _ = np.histogram(present, edges)
    return NumberReference(
        edges=edges.tolist(),
        counts=counts.tolist(),
        missing=int(len(values) - len(present)),
        mean=float(present.mean()),
        std=float(present.std()),
        minimum=float(present.min()),
        median=float(np.median(present)),
        maximum=float(present.max()),
        percentiles=np.quantile(present, PERCENTS / 100, method="inverted_cdf").tolist(),
    )


def _text_reference(values: pd.Series) -> TextReference:
    counts = values.value_counts().sort_index()
    missing = int(counts.get(MISSING, 0))
    return TextReference(counts={str(k): int(n) for k, n in counts.items() if k != MISSING}, missing=missing)
