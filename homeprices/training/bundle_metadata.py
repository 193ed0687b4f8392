"""Files that describe a bundle: `reference.json` and `MLmodel`.

`reference.json` holds the distributions of the training inputs and estimates, with which drift detection compares.
`MLmodel` makes MLflow recognise a bundle as a model and show its signature. `mlflow.pyfunc.load_model(
"models:/bangalore_home_prices@production")` then loads the bundle from the bucket, without a copy. Its inputs are those
of the graph: an array [N, 1] per input, texts as `homeprices.pricing.features` encodes them.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from homeprices.model.feature_matrix import Prices
from homeprices.pricing.bundle import MODEL_FILE
from homeprices.pricing.features import MISSING
from homeprices.pricing.inputs import NUMBERS
from homeprices.pricing.manifest import Columns, NumberReference, Reference, TextReference
from homeprices.pricing.predictor import HIGH_OUTPUT, LOW_OUTPUT, OUTPUT

BINS = 10
PERCENTS = np.arange(1, 100)

MLMODEL_FILE = "MLmodel"

_DTYPES = {"number": "float32", "text": "object"}


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


def mlmodel(columns: Columns, *, created_at: datetime, run_id: str | None) -> str:
    """The content of the file as JSON, which is valid YAML."""
    content = {
        "flavors": {
            "onnx": {"data": MODEL_FILE, "onnx_version": version("onnx"), "providers": ["CPUExecutionProvider"]},
            "python_function": {
                "data": MODEL_FILE,
                "loader_module": "mlflow.onnx",
                "python_version": platform.python_version(),
            },
        },
        "signature": {
            "inputs": json.dumps([_tensor(spec.name, _DTYPES[spec.type]) for spec in columns.inputs]),
            "outputs": json.dumps([_tensor(name, "float32") for name in (OUTPUT, LOW_OUTPUT, HIGH_OUTPUT)]),
        },
        "utc_time_created": created_at.strftime("%Y-%m-%d %H:%M:%S.%f"),
        "run_id": run_id,
    }
    return json.dumps(content, indent=1)


def _tensor(name: str, dtype: str) -> dict[str, Any]:
    return {"type": "tensor", "name": name, "tensor-spec": {"dtype": dtype, "shape": [-1, 1]}}
